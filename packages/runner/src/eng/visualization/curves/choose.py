"""Which runs and curves to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eng.logging._terminal import printable
from eng.logging.near_names import suggest

from .folders import run_folders, short_names, what_differs
from .order import in_order
from .starts import Curves, load_curves

__all__ = ["UnknownCurveError", "choose_names", "load_runs"]


class UnknownCurveError(ValueError):
    """No run has a curve of this name."""


def load_runs(work_dirs: Sequence[str | Path]) -> list[Curves]:
    """The curves of several runs, with names that tell them apart and what differs in their configs.

    Args:
        work_dirs: of runs, or folders that hold several.

    Raises:
        NoCurvesError: one of them has none.
    """
    paths = list(dict.fromkeys(path for folder in work_dirs for path in run_folders(Path(folder).resolve())))
    runs = [load_curves(path, name) for path, name in zip(paths, short_names(paths), strict=True)]
    differences = what_differs([run.path.parent.parent for run in runs])
    return [replace(run, differs=text) for run, text in zip(runs, differences, strict=True)]


def choose_names(runs: Sequence[Curves], wanted: Sequence[str]) -> list[str]:
    """Names of the curves to show: those that are asked for, or all: losses and metrics first, timings last.

    Args:
        runs: of which at least one must have each.
        wanted: names; empty for all.

    Raises:
        UnknownCurveError: no run has one of them; near names are told.
    """
    known = list(dict.fromkeys(name for run in runs for name in run.names))
    for name in wanted:
        if name not in known:
            hint = suggest(name, [printable(curve, one_line=True) for curve in known])
            raise UnknownCurveError(f"no run has a curve {name!r}{hint}")
    return list(wanted) or in_order(known)
