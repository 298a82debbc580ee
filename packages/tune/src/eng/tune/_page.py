"""Creates an HTML page about a sweep, without scripts: parallel coordinates, importance of the axes, table of trials."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._definition import Definition
from ._folder import Trial
from ._space import Choice, Distribution
from ._text import short_names, shown

_WIDTH, _HEIGHT, _MARGIN = 900, 320, 60

_STYLE = """
body { font: 14px system-ui, sans-serif; margin: 2em auto; max-width: 940px; color: #222; }
table { border-collapse: collapse; } td, th { padding: .2em .7em; text-align: left; border-bottom: 1px solid #ddd; }
.bar { background: #3b6ea8; height: 12px; } svg text { font-size: 11px; } tr.best { font-weight: bold; }
path.trial { fill: none; stroke-width: 1.5; opacity: .7; } path.trial:hover { stroke-width: 4; opacity: 1; }
"""


def render_sweep(name: str, definition: Definition, ranked: Sequence[Trial], importance: Mapping[str, float]) -> str:
    """Returns the HTML page of a sweep.

    Args:
        name: name of the sweep.
        definition: settings of the sweep.
        ranked: the trials; complete ones first, from the best to the worst.
        importance: for each axis, the share of the objective's variance that it explains.
    """
    complete = [trial for trial in ranked if trial.state == "complete"]
    title = f"{name}: {definition.metric} ({definition.mode})"
    headline = "No trial is complete."
    if complete:
        headline = f"Best: trial {complete[0].number:04d}, {shown(complete[0].value)}"
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1><p>{html.escape(headline)}</p>"
        f"<h2>Parallel coordinates</h2>{_coordinates(definition, complete)}"
        "<h2>Importance</h2><p>Share of the variance of the objective that an axis explains by itself.</p>"
        f"{_importance_table(importance)}<h2>Trials</h2>{_trial_table(definition, ranked)}</body></html>\n"
    )


def _coordinates(definition: Definition, trials: Sequence[Trial]) -> str:
    """Returns a parallel-coordinates plot as SVG: a vertical line per varied config key, a path per complete trial."""
    if not trials:
        return "<p>No trial is complete.</p>"
    keys = list(definition.space)
    axes = [_axis(definition.space[key], [trial.params[key] for trial in trials]) for key in keys]
    values = [float(trial.value or 0.0) for trial in trials]
    axes.append(_number_axis(min(values), max(values), False))
    names = [*short_names(keys), definition.metric]
    step = (_WIDTH - 2 * _MARGIN) / (len(axes) - 1)
    parts = []
    for index, (name, (_, ticks)) in enumerate(zip(names, axes, strict=True)):
        x = _MARGIN + index * step
        parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{_MARGIN}' y2='{_HEIGHT - _MARGIN}' stroke='#888'/>")
        parts.append(f"<text x='{x:.1f}' y='{_MARGIN - 25}' text-anchor='middle'>{html.escape(name)}</text>")
        for text, share in ticks:
            parts.append(f"<text x='{x + 4:.1f}' y='{_y(share):.1f}'>{html.escape(text)}</text>")
    for rank in reversed(range(len(trials))):
        trial = trials[rank]
        cells = [*(trial.params[key] for key in keys), trial.value]
        points = [
            f"{_MARGIN + index * step:.1f},{_y(share_of(cell)):.1f}"
            for index, (cell, (share_of, _)) in enumerate(zip(cells, axes, strict=True))
        ]
        hue = 210 - 170 * rank / max(len(trials) - 1, 1)
        parts.append(
            f"<path class='trial' stroke='hsl({hue:.0f} 70% 45%)' d='M{' L'.join(points)}'>"
            f"<title>trial {trial.number:04d}: {shown(trial.value)}</title></path>"
        )
    return f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img'>{''.join(parts)}</svg>"


def _y(share: float) -> float:
    """Returns the vertical coordinate of a point on a line of the plot; `share` is 0 at the bottom, 1 at the top."""
    return _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)


_Axis = tuple[Callable[[Any], float], list[tuple[str, float]]]


def _axis(axis: Distribution, values: Sequence[Any]) -> _Axis:
    """Returns the function that maps a value to its position on a vertical line (0 to 1), and the labels of the line.

    Each label is given with its position.
    """
    if isinstance(axis, Choice):
        names = [shown(value) for value in axis.values]
        last = max(len(names) - 1, 1)
        return lambda value: names.index(shown(value)) / last, [(name, at / last) for at, name in enumerate(names)]
    numbers = [float(value) for value in values]
    return _number_axis(min(numbers), max(numbers), getattr(axis, "log", False))


def _number_axis(low: float, high: float, is_log: bool) -> _Axis:
    """Returns the position function and the labels of a vertical line with numbers from `low` to `high`.

    With `is_log` the positions are proportional to the logarithms. If `low` equals `high`, the position is 0.5.
    """
    scale: Callable[[float], float] = math.log if is_log else float
    width = scale(high) - scale(low)

    def share_of(value: float) -> float:
        return (scale(value) - scale(low)) / width if width else 0.5

    return share_of, [(shown(low), 0.0), (shown(high), 1.0)] if width else [(shown(low), 0.5)]


def _importance_table(importance: Mapping[str, float]) -> str:
    """Returns an HTML table with the importance of each varied config key as a number and a bar, the largest first."""
    rows = sorted(importance.items(), key=lambda item: -item[1])
    cells = "".join(
        f"<tr><td>{html.escape(key)}</td><td>{share:.2f}</td>"
        f"<td style='width:300px'><div class='bar' style='width:{share:.0%}'></div></td></tr>"
        for key, share in rows
    )
    return f"<table>{cells}</table>"


def _trial_table(definition: Definition, ranked: Sequence[Trial]) -> str:
    """Returns an HTML table of the trials with state, metric and parameter values; the best complete trial is bold."""
    keys = list(definition.space)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ["trial", "state", definition.metric, *keys])
    rows = []
    for rank, trial in enumerate(ranked):
        texts = [f"{trial.number:04d}", trial.state, "" if trial.value is None else shown(trial.value)]
        texts += [shown(trial.params[key]) for key in keys]
        mark = " class='best'" if rank == 0 and trial.state == "complete" else ""
        note = f" title='{html.escape(trial.error, quote=True)}'" if trial.error else ""
        rows.append(f"<tr{mark}{note}>{''.join(f'<td>{html.escape(text)}</td>' for text in texts)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"
