"""Draws the history of the benchmarks: ``benchmark_page.py HISTORY PAGE`` writes a Markdown page with a small curve per row."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 120, 24


def read_rows(history: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of all files of JSON lines, by name, oldest first."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(history.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows.setdefault(row["name"], []).append(row)
    return rows


def number(measured: str) -> float | None:
    match = re.search(r"[-+]?[\d.]+", measured)
    return float(match[0]) if match else None


def curve(values: list[float]) -> str:
    """An inline SVG polyline of the values, scaled to their range; a single value is a dot."""
    lowest, highest = min(values), max(values)
    span = (highest - lowest) or 1.0
    step = WIDTH / max(len(values) - 1, 1)
    points = [(index * step, HEIGHT - 3 - (value - lowest) / span * (HEIGHT - 6)) for index, value in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg width="{WIDTH + 6}" height="{HEIGHT}" role="img" aria-label="{len(values)} measurements">'
        f'<polyline points="{line}" fill="none" stroke="currentColor"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/></svg>'
    )


def machines(rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A line for each machine and day of the newest values, with the machine's load."""
    newest = [history[-1] for history in rows.values()]
    facts = {(row["date"], row["cpu"], row["cores"], row["python"], row["torch"]): row for row in newest}
    return [
        f"- {row['date']}: {row['cpu']}, {row['cores']} cores, load {row['load']:.1f}, Python {row['python']}, torch {row['torch']}, "
        f"commit {row['commit']}"
        for _, row in sorted(facts.items())
    ]


def page(rows: dict[str, list[dict[str, Any]]]) -> str:
    """The page as Markdown."""
    lines = [
        "# Benchmarks over time",
        "",
        "Made by `python -m nox -s bench -- --history` from the files in `benchmarks/history/`. A ratio compares eng with",
        "its peer (the bare call, or MMEngine) in the same run. Times depend on the machine; the newest values come from these:",
        "",
        *machines(rows),
        "",
        "| measured | newest | target | date | over time |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, history in sorted(rows.items()):
        newest = history[-1]
        values = [value for row in history if (value := number(row["measured"])) is not None]
        drawing = curve(values) if values else ""
        lines.append(f"| {name} | {newest['measured']} | {newest['target']} | {newest['date']} | {drawing} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(page(read_rows(Path(sys.argv[1]))), encoding="utf-8")
