"""Curves as one page that needs nothing else: no network, no other file."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from .starts import Curves

__all__ = ["render_page"]


def render_page(runs: Sequence[Curves], names: Sequence[str], title: str = "Curves") -> str:
    """The page, as HTML: a chart for each name, in which all runs lie above one another.

    Args:
        runs: with names of their own.
        names: of the curves to show, in this order.
        title: of the page.
    """
    # "<" would let a name end the script element.
    data = json.dumps({"runs": [run.name for run in runs], "charts": _charts(runs, names)}, allow_nan=False)
    parts = {
        "title": html.escape(title),
        "data": data.replace("<", "\\u003c"),
        "script": _file("page.js"),
    }
    # In one pass: a name such as "{{script}}" in the data is text, not a place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts.get(match[1], match[0]), _file("page.html"))


def _charts(runs: Sequence[Curves], names: Sequence[str]) -> list[dict[str, Any]]:
    keys = dict.fromkeys(key for name in names for run in runs for key in run.points if key[0] == name)
    return [
        {
            "name": name,
            "axis": axis,
            "curves": [
                [number, steps, [value if math.isfinite(value) else None for value in values]]
                for number, run in enumerate(runs)
                for steps, values in [run.points.get((name, axis), ([], []))]
                if steps
            ],
        }
        for name, axis in keys
    ]


def _file(name: str) -> str:
    return resources.files(__package__ or "eng.visualization.curves").joinpath(name).read_text(encoding="utf-8")
