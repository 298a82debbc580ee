"""Chooses the checkpoint with which a run begins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from eng.checkpoint import LoadReport, find_latest_checkpoint
from eng.logging.near_names import suggest
from eng.runner.errors import WrongCheckpointError

# Matches the address of a checkpoint that is no local path, such as s3://bucket/a.pth or torchvision://resnet50.
_ADDRESS = re.compile(r"[A-Za-z][\w.+-]+:")
# Share of matching parameters below which a file is taken for the checkpoint of another model.
_ENOUGH = 0.5


@dataclass(frozen=True)
class Beginning:
    """The checkpoint from which a run starts; ``resume`` tells whether the run resumes or only loads the weights."""

    path: str
    resume: bool


def choose_beginning(resume: bool | str, load_from: str | None, work_dir: str) -> Beginning | None:
    """Chooses the checkpoint from which a run starts; returns None if the run starts without a checkpoint.

    Args:
        resume: True or ``"auto"`` resumes from ``load_from`` or, if ``load_from`` is None, from the newest intact
            checkpoint in ``work_dir``. Another text is the path of the checkpoint to resume from. False does not
            resume.
        load_from: checkpoint whose weights are loaded if ``resume`` is False.
        work_dir: folder of the run's checkpoints.
    """
    if isinstance(resume, str) and resume != "auto":
        return Beginning(resume, resume=True)
    if resume and load_from is None:
        latest = None
        if Path(work_dir).is_dir():
            latest = find_latest_checkpoint(work_dir)
        if latest is not None:
            return Beginning(latest, resume=True)
        return None
    if load_from is not None:
        return Beginning(load_from, resume=bool(resume))
    return None


def check_exists(checkpoint: str, key: str) -> None:
    """Checks that a checkpoint file exists.

    Args:
        checkpoint: path; an address on another storage is not checked.
        key: setting or option that names the checkpoint, for the message.

    Raises:
        FileNotFoundError: the file does not exist; the message names similar files in its folder.
    """
    if _ADDRESS.match(checkpoint) or (path := Path(checkpoint).expanduser()).exists():
        return
    hint = suggest(path.name, [file.name for file in path.parent.glob("*.pth")], otherwise="")
    raise FileNotFoundError(f"{key}: there is no checkpoint {checkpoint}{hint}")


def check_match(report: object, checkpoint: str, *, trains: bool) -> None:
    """Checks that at least half of a checkpoint's weights matched the model.

    A training run may load the weights of a part of its model, such as a backbone: half of the weights in the file must
    then belong to the model. For a validation or test, half of the model's parameters must be in the file.

    Args:
        report: :class:`eng.checkpoint.LoadReport` of loading the checkpoint; a report of another class, such as from
            the strategy of a library, is not checked.
        checkpoint: path of the loaded checkpoint, for the message.
        trains: whether the run trains.

    Raises:
        WrongCheckpointError: under half of the parameters match.
    """
    if not isinstance(report, LoadReport) or report.share >= _ENOUGH or (trains and report.share_of_file >= _ENOUGH):
        return
    raise WrongCheckpointError(checkpoint, report)


def find_trained_checkpoint(work_dir: str) -> str | None:
    """Returns the checkpoint of a run to evaluate: the best one or, without a best one, the newest; None without any.

    Args:
        work_dir: work dir of the run. If several metrics have a best checkpoint, the last written one is returned.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        return None
    best = sorted(folder.glob("best_*.pth"), key=lambda path: path.stat().st_mtime_ns)
    if best:
        return str(best[-1])
    return find_latest_checkpoint(work_dir)
