"""The checkpoint that a user names: a file, or a run that has saved some."""

from __future__ import annotations

from pathlib import Path

from eng.checkpoint import find_latest_checkpoint
from eng.checkpoint._folder import is_sharded
from eng.checkpoint._latest import checkpoints_of

from .passport.runs import WORK_DIRS, NoPassportError, Start, find_run, find_starts, lineage
from .state.policy import find_trained_checkpoint

__all__ = ["named_checkpoint"]


def named_checkpoint(name: str, *, wants_best: bool) -> str:
    """The checkpoint of a run, or ``name`` itself where it names no run.

    Of a work dir the checkpoints of all starts count; of one start, its own and those of the starts that it went on from.

    Args:
        name: a file, an address, or a run as :func:`eng.runner.passport.runs.find_run` takes it.
        wants_best: take the best checkpoint of a run, and the newest only where none is called best.

    Raises:
        FileNotFoundError: the run has none.
        NoPassportError: it is a folder whose runs lie deeper than in its own folders.
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
    """Whether a user's name of a run is that of its work dir, and not of one of its starts."""
    return any(path.is_dir() and path.samefile(folder) for path in (Path(name), Path(WORK_DIRS, name)))


def _checkpoint_of_start(start: Start, wants_best: bool) -> str | None:
    last = str(start.end.get("last_checkpoint") or "")
    if "://" in last:
        return last
    limits = lineage(start)
    prefixes = [""]
    if wants_best:
        prefixes = ["best_", ""]
    paths = (path for prefix in prefixes for path in checkpoints_of(start.folder.parent, limits, prefix=prefix))
    return next(paths, None)
