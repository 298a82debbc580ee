"""Writes the table of docs/compat.md from the reports of ``nox -s downstream -- --all``.

    python make_table.py [REPORT.xml...]

Each test records what it counted as properties. They go into results.json, where those of a later report replace those
of an earlier one, and the page is written from results.json and differences.json: tests/docs/test_downstream_table.py
holds the page against both.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from libraries import LIBRARIES

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/compat.md"
RESULTS, DIFFERENCES = HERE / "results.json", HERE / "differences.json"
BEGIN, END = "<!-- table of nox -s downstream -->", "<!-- end of the table -->"
# Column, and the property that counts it: `NAME_equal` of `NAME`, where NAME counts what works on the reference.
COLUMNS = {
    "configs equal": "configs",
    "models equal": "models",
    "drawn trainings equal": "trainings",
    "phases of a run equal": "phases",
    "own tests passed": "own_tests",
}
COUNTS = (
    "configs_checked",
    "refused",
    "typos_found",
    "types_found",
    *(key for name in COLUMNS.values() for key in (f"{name}_equal", name)),
)


def counts_of(report: Path) -> dict[str, dict[str, Any]]:
    """Properties by library that the tests of a report recorded, and the day of the report."""
    counts: dict[str, dict[str, Any]] = {}
    tree = ET.parse(report)
    day = next(tree.iter("testsuite")).get("timestamp", "")[:10]
    for case in tree.iter("testcase"):
        properties = {item.get("name"): item.get("value") for item in case.iter("property")}
        library = properties.pop("library", None)
        if library is None or case.find("skipped") is not None:
            continue
        entry = counts.setdefault(library, {"measured": day})
        entry.update({name: int(value) for name, value in properties.items() if name in COUNTS})
        if "seconds" in properties:
            entry["seconds"] = {kind: round(value, 2) for kind, value in json.loads(properties["seconds"]).items()}
    return counts


def merged(reports: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """results.json with what the reports counted."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for report in reports:
        for library, counts in counts_of(report).items():
            results[library] = {**results.get(library, {}), **counts}
    return {library.package: dict(sorted(results.get(library.package, {}).items())) for library in LIBRARIES}


def pairs_of(entry: dict[str, Any]) -> list[str]:
    """`equal of all` for each column; a bar where the library has nothing of the kind that runs here."""
    return [f"{entry[f'{name}_equal']} of {entry[name]}" if name in entry else "–" for name in COLUMNS.values()]


def table_of(results: dict[str, dict[str, Any]]) -> str:
    """The table: a row per library."""
    head = ("library", "version", "measured", "refused", "keys found", "types found", *COLUMNS)
    lines = [head, ("---",) * len(head)]
    for library in LIBRARIES:
        entry = results[library.package]
        checked = entry.get("configs_checked", 0)
        refused = f"{entry['refused']} of {checked}" if checked else "–"
        drawn = {"typos_found": 500, "types_found": 300}
        typos = [f"{entry[name]} of {count}" if name in entry else "–" for name, count in drawn.items()]
        first = (library.name, library.version, entry.get("measured", ""), refused, *typos)
        lines.append((*first, *pairs_of(entry)))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def differences_of(differences: dict[str, dict[str, dict[str, str]]]) -> str:
    """A line per reason: what differs, in which libraries, how often."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for noun, by_library in differences.items():
        for library, reasons in by_library.items():
            for reason in reasons.values():
                counts.setdefault((noun, reason), Counter())[library] += 1
    lines = []
    for (noun, reason), by_library in counts.items():
        where = ", ".join(f"{count} of {library}" for library, count in by_library.items())
        lines.append(f"- {noun}, {where}: {reason}.\n")
    return "".join(lines) or "None.\n"


def generated(results: dict[str, dict[str, Any]], differences: dict[str, Any]) -> str:
    """What stands between the marks of the page."""
    return f"{BEGIN}\n{table_of(results)}\nWhat differs, and why:\n\n{differences_of(differences)}{END}"


def main() -> None:
    results = merged(map(Path, sys.argv[1:]))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    differences = json.loads(DIFFERENCES.read_text(encoding="utf-8"))
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    behind = rest.split(END)[1]
    PAGE.write_text(f"{before}{generated(results, differences)}{behind}", encoding="utf-8")


if __name__ == "__main__":
    main()
