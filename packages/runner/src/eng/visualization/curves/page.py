"""Curves as one page that needs nothing else: no network, no other file."""

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
    """The page, as HTML: a chart for each name, in which all runs lie above one another.

    Args:
        runs: with names of their own.
        names: of the curves to show, in this order; timings are folded away.
        title: of the page.
    """
    return fill_page(page_data(runs, names), title)


def fill_page(data: Mapping[str, Any], title: str, *, source: str = "") -> str:
    """The page with its data.

    Args:
        data: of :func:`page_data`.
        title: of the page.
        source: address that the page asks for newer data; "" asks nobody.
    """
    # "<" would let a name end the script element.
    text = json.dumps({**data, "source": source}, allow_nan=False)
    parts = {
        "title": html.escape(title),
        "data": text.replace("<", "\\u003c"),
        "script": _file("page.js"),
        "connect": "connect-src 'self'; " if source else "",
    }
    # In one pass: a name such as "{{script}}" in the data is text, not a place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts.get(match[1], match[0]), _file("page.html"))


def page_data(
    runs: Sequence[Curves], names: Sequence[str], status: Sequence[str] = (), most_points: int | None = None
) -> dict[str, Any]:
    """What the page draws, as JSON can hold it.

    Args:
        runs: with names of their own.
        names: of the curves to show, in this order.
        status: of each run, shown beside its name.
        most_points: of one curve; of longer ones the lowest and the highest of neighbours are taken. None takes all.
    """
    described = [
        {"name": run.name, "title": run.title, "status": status[number] if number < len(status) else ""}
        for number, run in enumerate(runs)
    ]
    return {"runs": described, "charts": _charts(runs, names, most_points)}


def _charts(runs: Sequence[Curves], names: Sequence[str], most_points: int | None) -> list[dict[str, Any]]:
    """The data of each chart for the page: its name, its axis and one curve for each run."""
    keys = dict.fromkeys(key for name in names for run in runs for key in run.points if key[0] == name)
    charts = []
    for name, axis in keys:
        curves = []
        for number, run in enumerate(runs):
            steps, values = _thinned(*run.points.get((name, axis), ([], [])), most_points)
            if steps:
                curves.append([number, steps, [value if math.isfinite(value) else None for value in values]])
        charts.append({"name": name, "axis": axis, "folded": is_timing(name), "curves": curves})
    return charts


def _thinned(
    steps: Sequence[float], values: Sequence[float], most_points: int | None
) -> tuple[Sequence[float], Sequence[float]]:
    """The lowest and the highest of each stretch, and the last point."""
    if most_points is None or len(steps) <= most_points:
        return steps, values
    size = math.ceil(2 * len(steps) / most_points)
    chosen: set[int] = {len(steps) - 1}
    for begin in range(0, len(steps), size):
        stretch = range(begin, min(begin + size, len(steps)))
        finite = [index for index in stretch if math.isfinite(values[index])]
        ends = [min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)] if finite else [begin]
        chosen.update(ends)
    shown = sorted(chosen)
    return [steps[index] for index in shown], [values[index] for index in shown]


def _file(name: str) -> str:
    return resources.files(__package__ or "eng.visualization.curves").joinpath(name).read_text(encoding="utf-8")
