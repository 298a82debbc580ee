"""Renders curves as one HTML page that needs no network and no other file."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from .order import is_timing
from .starts import Curves

__all__ = ["fill_page", "page_data", "render_page"]


def render_page(runs: Sequence[Curves], names: Sequence[str], title: str = "Curves") -> str:
    """Renders an HTML page with one chart per curve name; a chart contains the curves of this name of all runs.

    Args:
        runs: the runs, with different names.
        names: names of the curves to show, in this order; charts of timings are collapsed.
        title: title of the page.
    """
    return fill_page(page_data(runs, names), title)


def fill_page(data: Mapping[str, Any], title: str, *, source: str = "") -> str:
    """Fills the template of the HTML page with data, and returns the page.

    Args:
        data: runs and charts, as :func:`page_data` returns them.
        title: title of the page.
        source: address from which the page loads newer data; "" for a page that never does.
    """
    connect = ""
    if source:
        connect = "connect-src 'self'; "
    text = json.dumps({**data, "source": source}, allow_nan=False)
    parts = {
        "title": html.escape(title),
        # A run whose name contains "</script>" would end the script element with the data, so "<" is escaped.
        "data": text.replace("<", "\\u003c"),
        "script": _file("page.js"),
        "connect": connect,
    }
    # All placeholders in the template are replaced in one pass, so that a run with the name "{{script}}" does not
    # become a placeholder.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts.get(match[1], match[0]), _file("page.html"))


def page_data(
    runs: Sequence[Curves], names: Sequence[str], status: Sequence[str] = (), most_points: int | None = None
) -> dict[str, Any]:
    """Returns the runs and charts of the HTML page as data for JSON.

    Args:
        runs: the runs, with different names.
        names: names of the curves to show, in this order.
        status: text for each run that is shown beside the run's name.
        most_points: maximum number of points of a curve. A longer curve is reduced to the minimum and maximum of each group
            of adjacent points. None (default) keeps all points.
    """
    texts = [*status[: len(runs)], *[""] * (len(runs) - len(status))]
    described = [{"name": run.name, "title": run.title, "status": text} for run, text in zip(runs, texts, strict=True)]
    return {"runs": described, "charts": _charts(runs, names, most_points)}


def _charts(runs: Sequence[Curves], names: Sequence[str], most_points: int | None) -> list[dict[str, Any]]:
    """Returns the data of each chart: its name, the unit of its x axis and one curve per run."""
    keys = dict.fromkeys(key for name in names for run in runs for key in run.points if key[0] == name)
    charts = []
    for name, axis in keys:
        curves = []
        for number, run in enumerate(runs):
            steps, values = _reduce_points(*run.points.get((name, axis), ([], [])), most_points)
            if steps:
                curves.append([number, steps, [_finite_or_none(value) for value in values]])
        charts.append({"name": name, "axis": axis, "folded": is_timing(name), "curves": curves})
    return charts


def _finite_or_none(value: float) -> float | None:
    """Replaces NaN and infinity, which JSON cannot represent, by None."""
    if math.isfinite(value):
        return value
    return None


def _reduce_points(
    steps: Sequence[float], values: Sequence[float], most_points: int | None
) -> tuple[Sequence[float], Sequence[float]]:
    """Reduces the steps and values of a curve to about ``most_points`` points.

    The curve is divided into groups of adjacent points. The points with the smallest and the largest value of each
    group are kept, and the last point of the curve.
    """
    if most_points is None or len(steps) <= most_points:
        return steps, values
    size = math.ceil(2 * len(steps) / most_points)
    chosen: set[int] = {len(steps) - 1}
    for begin in range(0, len(steps), size):
        stretch = range(begin, min(begin + size, len(steps)))
        finite = [index for index in stretch if math.isfinite(values[index])]
        if finite:
            chosen.update((min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)))
        else:
            chosen.add(begin)
    shown = sorted(chosen)
    return [steps[index] for index in shown], [values[index] for index in shown]


def _file(name: str) -> str:
    return resources.files(__package__ or "eng.visualization.curves").joinpath(name).read_text(encoding="utf-8")
