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
    """Renders the page as HTML, with one chart per name that contains the curves of all runs.

    Args:
        runs: the runs, with different names.
        names: names of the curves to show, in this order; charts of timings are collapsed.
        title: title of the page.
    """
    return fill_page(page_data(runs, names), title)


def fill_page(data: Mapping[str, Any], title: str, *, source: str = "") -> str:
    """Fills the page's template with data.

    Args:
        data: the data from :func:`page_data`.
        title: title of the page.
        source: address from which the page loads newer data; "" for a page that never does.
    """
    connect = ""
    if source:
        connect = "connect-src 'self'; "
    text = json.dumps({**data, "source": source}, allow_nan=False)
    parts = {
        "title": html.escape(title),
        # "</script>" in the name of a run would end the script element, so "<" is escaped.
        "data": text.replace("<", "\\u003c"),
        "script": _file("page.js"),
        "connect": connect,
    }
    # All placeholders are replaced in one pass, so that a name such as "{{script}}" in the data is not replaced.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts.get(match[1], match[0]), _file("page.html"))


def page_data(
    runs: Sequence[Curves], names: Sequence[str], status: Sequence[str] = (), most_points: int | None = None
) -> dict[str, Any]:
    """Returns the runs and charts of the page as JSON data.

    Args:
        runs: the runs, with different names.
        names: names of the curves to show, in this order.
        status: status of each run, which is shown beside its name.
        most_points: maximum number of points of a curve. A longer curve is reduced to the minimum and maximum of each group
            of adjacent points. None (default) keeps all points.
    """
    texts = [*status[: len(runs)], *[""] * (len(runs) - len(status))]
    described = [{"name": run.name, "title": run.title, "status": text} for run, text in zip(runs, texts, strict=True)]
    return {"runs": described, "charts": _charts(runs, names, most_points)}


def _charts(runs: Sequence[Curves], names: Sequence[str], most_points: int | None) -> list[dict[str, Any]]:
    """Returns the data of each chart: its name, its axis and one curve per run."""
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
    """Reduces a curve to about ``most_points``: the minimum and maximum of each group of points, and the last point."""
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
