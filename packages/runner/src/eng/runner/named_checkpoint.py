"""Finds the checkpoint that a user names by its file or by its run."""

from __future__ import annotations

from pathlib import Path

from eng.checkpoint import find_latest_checkpoint
from eng.checkpoint._folder import is_sharded
from eng.checkpoint._latest import checkpoints_of

from .passport.runs import WORK_DIRS, NoPassportError, Start, find_run, find_starts, lineage
from .state.policy import find_trained_checkpoint

__all__ = ["named_checkpoint"]


def named_checkpoint(name: str, *, wants_best: bool) -> str:
    """Returns the path of a run's checkpoint; a ``name`` that is no run is returned unchanged.

    If ``name`` is a work dir, the checkpoints of all launches in it are searched. If it is one launch, the checkpoints
    of this launch and of the launches from which it was resumed are searched.

    Args:
        name: a file, an address, or the name of a run, see :func:`eng.runner.passport.runs.find_run`.
        wants_best: True returns the best checkpoint of the run, or the newest one if the run has no best one; False
            returns the newest checkpoint.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        NoPassportError: ``name`` is a folder of several work dirs.
    """
    if Path(name).is_file() or is_sharded(name):
        return name
    try:
        start = find_run(name)
    except NoPassportError:
        if Path(name).is_dir() and find_starts(name):
            raise
        return name
    folder = start.folder.parent
    if not _is_work_dir(name, folder):
        path = _checkpoint_of_start(start, wants_best)
    elif wants_best:
        path = find_trained_checkpoint(str(folder))
    else:
        path = find_latest_checkpoint(folder)
    if path is None:
        raise FileNotFoundError(
            f"the run {name} has no checkpoint in {folder}; eng ckpt ls {folder} lists the checkpoints of all its starts"
        )
    return path


def _is_work_dir(name: str, folder: Path) -> bool:
    """Whether ``name`` is the work dir of a run, and not the timestamped subfolder of one of its launches."""
    return any(path.is_dir() and path.samefile(folder) for path in (Path(name), Path(WORK_DIRS, name)))


def _checkpoint_of_start(start: Start, wants_best: bool) -> str | None:
    """Returns the best or the newest checkpoint of one launch; None if there is none.

    Checkpoints of the launches from which this launch was resumed count too. If the last checkpoint of the launch is on
    another storage, such as ``s3://bucket/...``, its address is returned, also for ``wants_best``: that storage is not
    searched.
    """
    last = str(start.end.get("last_checkpoint") or "")
    if "://" in last:
        return last
    limits = lineage(start)
    prefixes = [""]
    if wants_best:
        prefixes = ["best_", ""]
    paths = (path for prefix in prefixes for path in checkpoints_of(start.folder.parent, limits, prefix=prefix))
    return next(paths, None)
