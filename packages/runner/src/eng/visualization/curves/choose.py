"""Chooses the runs and curves that a table, picture or page shows."""

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
    """None of the runs has a curve with the requested name."""


def load_runs(work_dirs: Sequence[str | Path]) -> list[Curves]:
    """Reads the curves of several runs; each run gets a unique name and the settings in which its config differs.

    Args:
        work_dirs: work directories of runs, or folders with several runs below them.

    Raises:
        NoCurvesError: a run has no curves.
    """
    paths = list(dict.fromkeys(path for folder in work_dirs for path in run_folders(Path(folder).resolve())))
    runs = [load_curves(path, name) for path, name in zip(paths, short_names(paths), strict=True)]
    differences = what_differs([run.path.parent.parent for run in runs])
    return [replace(run, differs=text) for run, text in zip(runs, differences, strict=True)]


def choose_names(runs: Sequence[Curves], wanted: Sequence[str]) -> list[str]:
    """Returns the names of the curves to show.

    If ``wanted`` is empty, these are all curves of the runs, with losses and metrics first and timings last.

    Args:
        runs: the runs; each wanted curve must exist in at least one of them.
        wanted: names of curves that the user has asked for.

    Raises:
        UnknownCurveError: no run has a wanted curve; the message suggests similar names.
    """
    known = list(dict.fromkeys(name for run in runs for name in run.names))
    for name in wanted:
        if name not in known:
            hint = suggest(name, [printable(curve, one_line=True) for curve in known])
            raise UnknownCurveError(f"no run has a curve {name!r}{hint}")
    return list(wanted) or in_order(known)
