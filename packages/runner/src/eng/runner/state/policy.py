"""Which checkpoint a run begins with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from eng.checkpoint import LoadReport, find_latest_checkpoint
from eng.logging.near_names import suggest
from eng.runner.errors import WrongCheckpointError

# What leads elsewhere than to a file of this machine: s3://..., torchvision://...
_ADDRESS = re.compile(r"[A-Za-z][\w.+-]+:")
_ENOUGH = 0.5


@dataclass(frozen=True)
class Beginning:
    """The file to begin with, and whether to go on from it (True) or to take its weights only (False)."""

    path: str
    resume: bool


def choose_beginning(resume: bool | str, load_from: str | None, work_dir: str) -> Beginning | None:
    """What ``resume`` and ``load_from`` mean together; None starts anew.

    Args:
        resume: True or ``"auto"`` to go on from ``load_from`` or, without it, from the newest whole checkpoint in
            ``work_dir``; another string is the file itself.
        load_from: checkpoint to begin with.
        work_dir: folder of checkpoints.
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
    """Makes sure that a checkpoint of this machine is there.

    Args:
        checkpoint: path, or an address, which is not looked at.
        key: setting or option that names it, for the message.

    Raises:
        FileNotFoundError: it is not there; names near ones.
    """
    if _ADDRESS.match(checkpoint) or (path := Path(checkpoint).expanduser()).exists():
        return
    hint = suggest(path.name, [file.name for file in path.parent.glob("*.pth")], otherwise="")
    raise FileNotFoundError(f"{key}: there is no checkpoint {checkpoint}{hint}")


def check_match(report: object, checkpoint: str, *, trains: bool) -> None:
    """Makes sure that the weights of a checkpoint are those of the model, and not of another one.

    A training may begin with the weights of a part, such as a backbone: then most of the file must fit. An evaluation needs
    most of the model's parameters.

    Args:
        report: what a load did; that of a library's strategy, which tells nothing, is not judged.
        checkpoint: that was loaded.
        trains: whether the run trains.

    Raises:
        WrongCheckpointError: under half of the parameters match.
    """
    if not isinstance(report, LoadReport) or report.share >= _ENOUGH or (trains and report.share_of_file >= _ENOUGH):
        return
    raise WrongCheckpointError(checkpoint, report)


def find_trained_checkpoint(work_dir: str) -> str | None:
    """The checkpoint of a run to evaluate: its best one, otherwise its newest; None where it has none.

    Args:
        work_dir: of the run. Of several best ones (by several metrics) the one that was written last counts.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        return None
    best = sorted(folder.glob("best_*.pth"), key=lambda path: path.stat().st_mtime_ns)
    if best:
        return str(best[-1])
    return find_latest_checkpoint(work_dir)
