"""The table of libraries in docs/compat.md is the one that the reports of the last complete run give."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOWNSTREAM = ROOT / "tests/downstream"


@pytest.fixture(scope="module")
def make_table() -> ModuleType:
    before = set(sys.modules)
    sys.path.insert(0, str(DOWNSTREAM))
    module = importlib.import_module("make_table")
    sys.path.remove(str(DOWNSTREAM))
    for name in set(sys.modules) - before:
        del sys.modules[name]
    return module


def read(*parts: str) -> Any:
    return json.loads(DOWNSTREAM.joinpath(*parts).read_text(encoding="utf-8"))


def goldens(area: str) -> dict[str, Any]:
    """What the reference gave, by library."""
    return {path.stem: read("golden", area, path.name) for path in (DOWNSTREAM / "golden" / area).glob("*.json")}


def test_the_page_holds_what_the_results_give(make_table: ModuleType) -> None:
    page = (ROOT / "docs/compat.md").read_text(encoding="utf-8")
    assert make_table.generated(read("results.json"), read("differences.json")) in page


def test_the_results_count_all_that_the_reference_gave() -> None:
    results = read("results.json")
    folders = {library: golden["digests"].values() for library, golden in goldens("configs").items()}
    loaded = {
        library: sum(not digest.startswith("!") for files in by_folder for digest in files.values())
        for library, by_folder in folders.items()
    }
    assert {library: entry["configs"] for library, entry in results.items()} == loaded
    for area, noun in {"models": "models", "trainings": "trainings", "runs": "phases"}.items():
        numbers = {library: len(golden) for library, golden in goldens(area).items()}
        assert {library: entry[noun] for library, entry in results.items() if noun in entry} == numbers
    passed = {library: list(golden.values()).count("passed") for library, golden in goldens("tests").items()}
    assert {library: entry["own_tests"] for library, entry in results.items() if "own_tests" in entry} == passed


def test_what_is_not_equal_is_listed_with_its_reason() -> None:
    differences = read("differences.json")
    nouns = {"configs": "configs", "models": "models", "trainings": "trainings", "runs": "phases"}
    for library, entry in read("results.json").items():
        assert entry.get("refused", 0) == 0
        for area, noun in nouns.items():
            listed = len(differences[area].get(library, {}))
            assert entry.get(noun, 0) - entry.get(f"{noun}_equal", 0) == listed, (library, noun)


def test_a_report_replaces_what_an_earlier_one_counted(make_table: ModuleType, tmp_path: Path) -> None:
    case = "<testcase><properties>{}</properties></testcase>"
    item = '<property name="{}" value="{}"/>'
    for number, values in enumerate(({"models": 3, "models_equal": 2}, {"models_equal": 3, "phases": 7})):
        items = "".join(item.format(*pair) for pair in {"library": "mmseg", **values}.items())
        suite = f'<testsuites><testsuite timestamp="2026-11-2{number}T10">{case.format(items)}</testsuite></testsuites>'
        (tmp_path / f"{number}.xml").write_text(suite)
    results = make_table.merged([tmp_path / "0.xml", tmp_path / "1.xml"])["mmseg"]
    expected = {"models": 3, "models_equal": 3, "phases": 7, "measured": "2026-11-21"}
    assert {name: results[name] for name in expected} == expected
