"""Draws curves as a picture with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from .starts import Curves

__all__ = ["draw_picture"]

# Curves with fewer points than this number are drawn with a marker at each point.
_FEW_POINTS = 30


def draw_picture(runs: Sequence[Curves], names: Sequence[str], path: str | Path, *, log: bool = False) -> None:
    """Draws a picture with one chart per curve name; a chart contains the curves of this name of all runs.

    Args:
        runs: the runs, with different names.
        names: names of the curves to show, in this order.
        path: path of the picture; its suffix determines the format.
        log: whether the y axis is logarithmic.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: matplotlib has no format with this suffix.
    """
    scale = "linear"
    if log:
        scale = "log"
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a picture of curves needs matplotlib: pip install matplotlib") from error
    keys = list(dict.fromkeys(key for name in names for run in runs for key in run.points if key[0] == name))
    columns = min(3, math.ceil(math.sqrt(len(keys))))
    rows = math.ceil(len(keys) / columns)
    figure = Figure(figsize=(5.2 * columns, 3.4 * rows), layout="constrained")
    known = FigureCanvasAgg(figure).get_supported_filetypes()
    if Path(path).suffix.lower().removeprefix(".") not in known:
        raise ValueError(f"{path}: a picture ends in one of {', '.join(f'.{ending}' for ending in known)}, or .html")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for key, axes in zip(keys, grid, strict=False):
        for number, run in enumerate(runs):
            if key in run.points:
                steps, values = run.points[key]
                marker = None
                if len(steps) < _FEW_POINTS:
                    marker = "."
                axes.plot(steps, values, color=f"C{number}", label=run.title, marker=marker)
        if not any(math.isfinite(value) for run in runs for value in run.points.get(key, ((), ()))[1]):
            axes.text(0.5, 0.5, "no finite values", ha="center", transform=axes.transAxes)
        axes.set(title=key[0], xlabel=key[1], yscale=scale)
        axes.grid(alpha=0.3)
    # `zip` has consumed the axes of charts from the iterator. The remaining axes are empty cells of the grid, and are
    # hidden.
    for axes in list(grid):
        axes.remove()
    handles = [figure.axes[0].plot([], [], color=f"C{number}", label=run.title)[0] for number, run in enumerate(runs)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(runs), 4))
    figure.savefig(Path(path), dpi=110)
