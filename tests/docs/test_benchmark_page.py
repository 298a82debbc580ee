"""scripts/benchmark_page.py: the page that draws the history of the benchmarks."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MACHINE = {"cpu": "Abacus", "cores": 2, "load": 0.25, "system": "Linux", "python": "3.11.2", "torch": "2.13.0"}


@pytest.fixture
def benchmark_page(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("benchmark_page")


def test_the_newest_value_stands_beside_a_curve_of_all(benchmark_page: Any, tmp_path: Path) -> None:
    for day, measured in (("2030-01-02", "1.50x"), ("2030-01-01", "1.00x"), ("2030-01-03", "2.00x")):
        row = {
            "date": day,
            "name": "build",
            "measured": measured,
            "target": "<= 1.3",
            "commit": f"c{day[-1]}",
            **MACHINE,
        }
        (tmp_path / f"{day}.jsonl").write_text(json.dumps(row) + "\n")
    page = benchmark_page.page(benchmark_page.read_rows(tmp_path))
    (line,) = [line for line in page.splitlines() if line.startswith("| build")]
    assert line.startswith("| build | 2.00x | <= 1.3 | 2030-01-03 | <svg ")
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]+)"', line)[1].split()]
    assert [x for x, _ in points] == [0, 60, 120]
    heights = [y for _, y in points]
    assert heights[0] > heights[1] > heights[2]  # SVG counts from the top
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2])
    assert "- 2030-01-03: Abacus, 2 cores, load 0.2, Python 3.11.2, torch 2.13.0, commit c3" in page


def test_the_page_is_that_of_the_history(benchmark_page: Any) -> None:
    rows = benchmark_page.read_rows(ROOT / "benchmarks/history")
    assert rows
    assert (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8") == benchmark_page.page(rows)
    facts = {"date", "cpu", "cores", "load", "system", "python", "torch", "commit"}
    assert all(facts <= row.keys() for history in rows.values() for row in history)
