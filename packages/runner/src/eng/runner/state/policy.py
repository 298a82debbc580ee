"""Which checkpoint a run begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eng.checkpoint import find_latest_checkpoint


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
        latest = find_latest_checkpoint(work_dir) if Path(work_dir).is_dir() else None
        return Beginning(latest, resume=True) if latest is not None else None
    return Beginning(load_from, resume=bool(resume)) if load_from is not None else None
