"""Holds the coverage of each package against its floor: ``coverage_floors.py FOLDER [--update]``.

FOLDER has a JSON report of coverage.py per package. A floor is the value of the day it was set, minus one.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

FLOORS = Path(__file__).parents[1] / "coverage.toml"


def read_floors() -> dict[str, float]:
    """Percent of lines per package, from coverage.toml."""
    text = FLOORS.read_text(encoding="utf-8") if FLOORS.exists() else ""
    return {name: float(value) for name, value in re.findall(r"^(\w+) = ([\d.]+)$", text, re.MULTILINE)}


def write_floors(floors: dict[str, float]) -> None:
    lines = [f"{name} = {value:.1f}" for name, value in sorted(floors.items())]
    header = (
        "# Least share of lines, in percent, that a package's own tests run. `nox -s coverage -- --update` sets them."
    )
    FLOORS.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def main() -> int:
    folder = Path(sys.argv[1])
    reports = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    measured = {name: report["totals"]["percent_covered"] for name, report in reports.items()}
    floors = read_floors()
    if "--update" in sys.argv:
        write_floors({**floors, **{name: value - 1 for name, value in measured.items()}})
    failures = [name for name, value in measured.items() if value < floors.get(name, 0.0)]
    for name, value in measured.items():
        print(
            f"{name:12} {value:5.1f} %   floor {floors.get(name, 0.0):5.1f} %{'   BELOW' if name in failures else ''}"
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
