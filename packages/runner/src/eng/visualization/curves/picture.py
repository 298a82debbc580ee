"""Curves as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from .starts import Curves

__all__ = ["draw_picture"]


def draw_picture(runs: Sequence[Curves], names: Sequence[str], path: str | Path, *, log: bool = False) -> None:
    """Draws a chart for each curve, in which all runs lie above one another, into one picture.

    Args:
        runs: with names of their own.
        names: of the curves to show, in this order.
        path: of the picture; its ending says which format.
        log: whether values are on a logarithmic axis.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no format with this ending.
    """
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
                axes.plot(steps, values, color=f"C{number}", label=run.title, marker="." if len(steps) < 30 else None)
        if not any(math.isfinite(value) for run in runs for value in run.points.get(key, ((), ()))[1]):
            axes.text(0.5, 0.5, "no finite values", ha="center", transform=axes.transAxes)
        axes.set(title=key[0], xlabel=key[1], yscale="log" if log else "linear")
        axes.grid(alpha=0.3)
    for axes in list(grid):  # what is left of the grid has no curve
        axes.remove()
    handles = [figure.axes[0].plot([], [], color=f"C{number}", label=run.title)[0] for number, run in enumerate(runs)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(runs), 4))
    figure.savefig(Path(path), dpi=110)
