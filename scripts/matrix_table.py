"""Writes the table of the README from the reports of ``nox -s matrix``: ``matrix_table.py FOLDER``.

Reports are named ``PYTHON_TORCH_PACKAGE.xml``; one that is no XML is of a pytest that died, and counts as one failed test.
Rows of the table whose versions no report names stay as they are, and so do rows of more packages than have reports.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from datetime import date
from pathlib import Path

from marked_table import markdown_table, split_at_table

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- table of nox -s matrix -->"
HEAD = ("Python", "torch", "packages", "passed", "failed", "skipped", "date")
NAME = re.compile(r"(?P<python>[\d.]+)_(?P<torch>[^_]+)_(?P<package>\w+)\.xml")
Row = tuple[str, ...]


def counts_of(report: Path) -> tuple[int, int, int, str]:
    """Passed, failed and skipped tests of a report, and its day."""
    try:
        suites = list(ET.parse(report).iter("testsuite"))
    except ET.ParseError:
        return 0, 1, 0, date.fromtimestamp(report.stat().st_mtime).isoformat()
    total = {key: sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")}
    failed = total["failures"] + total["errors"]
    return total["tests"] - failed - total["skipped"], failed, total["skipped"], suites[0].get("timestamp", "")[:10]


def measured_rows(folder: Path) -> dict[tuple[str, str], Row]:
    """A row for each pair of versions that has reports, by the pair."""
    packages: dict[tuple[str, str], dict[str, tuple[int, int, int, str]]] = defaultdict(dict)
    for report in sorted(folder.glob("*.xml")):
        match = NAME.fullmatch(report.name)
        if match:
            packages[match["python"], match["torch"]][match["package"]] = counts_of(report)
    rows = {}
    for (python, torch), counts in packages.items():
        sums = [str(sum(entry[column] for entry in counts.values())) for column in range(3)]
        rows[python, torch] = (python, torch, ", ".join(counts), *sums, max(entry[3] for entry in counts.values()))
    return rows


def earlier_rows(text: str) -> dict[tuple[str, str], Row]:
    r"""The rows of the table that a README holds, by their versions.

    Example:
        >>> earlier_rows("| Python | torch |\n| --- | --- |\n| 3.10 | 2.6.0 |\n")
        {('3.10', '2.6.0'): ('3.10', '2.6.0')}
    """
    rows = {}
    for line in text.splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        if re.fullmatch(r"3\.\d+", cells[0]):
            rows[cells[0], cells[1]] = cells
    return rows


def number_of_packages(row: Row) -> int:
    return len(row[HEAD.index("packages")].split(","))


def order_of(versions: tuple[str, str]) -> list[tuple[int, ...]]:
    return [tuple(int(part) for part in re.findall(r"\d+", version)) for version in versions]


def with_table(readme: str, folder: Path) -> str:
    """The README with the table of today's reports.

    Raises:
        ValueError: the README has no table.
    """
    before, table, after = split_at_table(readme, BEGIN)
    rows = earlier_rows(table)
    for versions, row in measured_rows(folder).items():
        if versions not in rows or number_of_packages(row) >= number_of_packages(rows[versions]):
            rows[versions] = row
    return before + markdown_table(HEAD, [rows[versions] for versions in sorted(rows, key=order_of)]) + after


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8"), Path(sys.argv[1])), encoding="utf-8")
