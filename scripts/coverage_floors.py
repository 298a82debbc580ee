"""Holds the coverage of each package against its floor: ``coverage_floors.py REPORT.json... [--update]``.

A report is that of slipcover, named after the package. A floor is the value of the day it was set, minus one. With
``--update`` the floors in coverage.toml and the table of CONTRIBUTING.md become those of the reports; packages without a
report keep theirs.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import date
from pathlib import Path

from marked_table import markdown_table, split_at_table

ROOT = Path(__file__).parents[1]
FLOORS, PAGE = ROOT / "coverage.toml", ROOT / "CONTRIBUTING.md"
BEGIN = "<!-- table of coverage -->"
COLUMNS = ("package", "lines, in percent", "measured")
HEAD = "# Least share of lines, in percent, that a package's own tests run. `nox -s coverage -- --update` sets them."
SLACK = 1.0


def read_floors(text: str) -> dict[str, float]:
    r"""Percent of lines per package.

    Example:
        >>> read_floors("# Percent\nconfig = 96.8\n")
        {'config': 96.8}
    """
    return {name: float(value) for name, value in re.findall(r"^(\w+) = ([\d.]+)$", text, re.MULTILINE)}


def floors_text(floors: dict[str, float]) -> str:
    """What coverage.toml holds."""
    return "\n".join([HEAD, *(f"{name} = {value:.1f}" for name, value in sorted(floors.items()))]) + "\n"


def with_table(page: str, measured: dict[str, float], today: str) -> str:
    """The page with a row per package; rows of packages that are not in `measured` stay.

    Raises:
        ValueError: the page has no table.
    """
    before, table, after = split_at_table(page, BEGIN)
    rows = dict(re.findall(r"^\| (\w+) \| ([\d.]+ \| [\d-]+) \|$", table, re.MULTILINE))
    rows |= {name: f"{value:.1f} | {today}" for name, value in measured.items()}
    return before + markdown_table(COLUMNS, sorted(rows.items())) + after


def below(measured: dict[str, float], floors: dict[str, float]) -> list[str]:
    """Packages that are below their floor."""
    return [name for name, value in measured.items() if value < floors.get(name, 0.0)]


def main() -> int:
    paths = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    reports = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    measured = {name: report["summary"]["percent_covered"] for name, report in reports.items()}
    floors = read_floors(FLOORS.read_text(encoding="utf-8"))
    if "--update" in sys.argv:
        floors |= {name: round(value - SLACK, 1) for name, value in measured.items()}
        FLOORS.write_text(floors_text(floors), encoding="utf-8")
        page = with_table(PAGE.read_text(encoding="utf-8"), measured, date.today().isoformat())
        PAGE.write_text(page, encoding="utf-8")
    failures = below(measured, floors)
    for name, value in measured.items():
        mark = "   BELOW: write tests for what is new" if name in failures else ""
        print(f"{name:12} {value:5.1f} %   floor {floors.get(name, 0.0):5.1f} %{mark}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
