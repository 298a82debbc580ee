"""scripts/matrix_table.py: which rows of the table a run of ``nox -s matrix`` replaces."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
REPORT = '<testsuites><testsuite tests="5" failures="1" errors="0" skipped="2" timestamp="2030-01-02T03:04:05"/></testsuites>'
END = "<!-- end of the table -->"
EARLIER = "| 3.10 | 2.6.0 | dist, runner | 40 | 0 | 1 | 2029-01-01 |"


@pytest.fixture
def matrix_table(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("matrix_table")


def rows_with(matrix_table: Any, folder: Path, reports: dict[str, str]) -> list[str]:
    """The rows after a run with reports, in a README that has one row."""
    for name, text in reports.items():
        (folder / f"{name}.xml").write_text(text)
    readme = f"head\n{matrix_table.BEGIN}\n{EARLIER}\n{END}\ntail\n"
    lines: list[str] = matrix_table.with_table(readme, folder).splitlines()
    assert lines[:2] + lines[-2:] == ["head", matrix_table.BEGIN, END, "tail"]
    return lines[4:-2]


def test_an_earlier_row_of_more_packages_stays(matrix_table: Any, tmp_path: Path) -> None:
    reports = {"3.10_2.6.0_runner": REPORT, "3.9_2.6.0_runner": REPORT}
    row = "| 3.9 | 2.6.0 | runner | 2 | 1 | 2 | 2030-01-02 |"
    assert rows_with(matrix_table, tmp_path, reports) == [row, EARLIER]


def test_a_row_of_as_many_packages_is_replaced(matrix_table: Any, tmp_path: Path) -> None:
    reports = {"3.10_2.6.0_runner": REPORT, "3.10_2.6.0_dist": REPORT}
    assert rows_with(matrix_table, tmp_path, reports) == ["| 3.10 | 2.6.0 | dist, runner | 4 | 2 | 4 | 2030-01-02 |"]


@pytest.mark.parametrize("text", ["", REPORT[:40]], ids=["nothing", "cut short"])
def test_a_package_whose_pytest_died_counts_as_failed(matrix_table: Any, tmp_path: Path, text: str) -> None:
    reports = {"3.10_2.6.0_runner": REPORT.replace("2030", "2130"), "3.10_2.6.0_dist": text}
    assert rows_with(matrix_table, tmp_path, reports) == ["| 3.10 | 2.6.0 | dist, runner | 2 | 2 | 2 | 2130-01-02 |"]


@pytest.mark.parametrize("readme", ["head\n{END}\n", "head\n{BEGIN}\n"], ids=["no-beginning", "no-end"])
def test_a_page_without_the_two_comments_is_refused(matrix_table: Any, tmp_path: Path, readme: str) -> None:
    with pytest.raises(ValueError, match=r"the page lacks the lines '<!-- table of nox -s matrix -->' and"):
        matrix_table.with_table(readme.format(BEGIN=matrix_table.BEGIN, END=END), tmp_path)
