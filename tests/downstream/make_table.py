"""Writes the table of docs/compat.md from the report of ``nox -s downstream -- --all``.

    python make_table.py REPORT.xml...

Each test records what it counted as properties; a property that no test recorded leaves its cell empty.
"""

from __future__ import annotations

import datetime as dt
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from libraries import LIBRARIES

PAGE = Path(__file__).parents[2] / "docs/compat.md"
BEGIN, END = "<!-- table of nox -s downstream -->", "<!-- end of the table -->"
# Column and the property that counts it: `NAME_equal` of `NAME`, where NAME counts what works on the reference.
COLUMNS = {
    "configs equal": "configs",
    "models equal": "models",
    "phases of a run equal": "phases",
    "own tests passed": "own_tests",
}


def counts_of(reports: Iterable[Path]) -> dict[str, dict[str, str]]:
    """Properties by library: those that the tests of the reports recorded."""
    counts: dict[str, dict[str, str]] = defaultdict(dict)
    cases = (case for report in reports for case in ET.parse(report).iter("testcase"))
    for case in cases:
        properties = {item.get("name"): item.get("value") for item in case.iter("property")}
        counts[properties.pop("library", "")].update(properties)
    return counts


def table_of(counts: dict[str, dict[str, str]]) -> str:
    head = ("library", "version", "refused", *(cell for column in COLUMNS for cell in (column, "reference")))
    lines = [head, ("---",) * len(head)]
    for library in LIBRARIES:
        recorded = counts.get(library.package, {})
        checked = recorded.get("configs_checked", "0")
        refused = f"{recorded['refused']} of {checked}" if checked != "0" else ""
        pairs = [recorded.get(key, "") for name in COLUMNS.values() for key in (f"{name}_equal", name)]
        lines.append((library.name, library.version, refused, *pairs))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    table = table_of(counts_of(map(Path, sys.argv[1:])))
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    behind = rest.split(END)[1]
    date = dt.datetime.now(tz=dt.timezone.utc).date()
    PAGE.write_text(f"{before}{BEGIN}\nMeasured on {date}.\n\n{table}{END}{behind}", encoding="utf-8")


if __name__ == "__main__":
    main()
