"""Which runs and curves to show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eng.logging._terminal import printable
from eng.logging.near_names import near

from .starts import Curves, load_curves

__all__ = ["UnknownCurveError", "choose_names", "load_runs"]


class UnknownCurveError(ValueError):
    """No run has a curve of this name."""


def load_runs(work_dirs: Sequence[str | Path]) -> list[Curves]:
    """The curves of several runs, with names that tell them apart: as much of their paths as that takes.

    Raises:
        NoCurvesError: one of them has none.
    """
    paths = list(dict.fromkeys(Path(folder).resolve() for folder in work_dirs))
    length = 1
    while len({path.parts[-length:] for path in paths}) < len(paths):
        length += 1
    return [load_curves(path, "/".join(path.parts[-length:])) for path in paths]


def choose_names(runs: Sequence[Curves], wanted: Sequence[str]) -> list[str]:
    """Names of the curves to show: all, or those that are asked for.

    Args:
        runs: of which at least one must have each.
        wanted: names; empty for all.

    Raises:
        UnknownCurveError: no run has one of them; near names are told.
    """
    known = list(dict.fromkeys(name for run in runs for name in run.names))
    for name in wanted:
        if name not in known:
            hint = near(name, [printable(other, one_line=True) for other in known])
            raise UnknownCurveError(f"no run has a curve {name!r}{hint}")
    return list(wanted) or known
