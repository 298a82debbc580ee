"""scripts/coverage_floors.py and scripts/measured_tests.py: what is measured, and when a package is below its floor."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
END = "<!-- end of the table -->"
TABLE = "| package | lines, in percent | measured |\n| --- | --- | --- |\n"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    module = importlib.import_module("coverage_floors")
    monkeypatch.setattr(module, "FLOORS", tmp_path / "coverage.toml")
    monkeypatch.setattr(module, "PAGE", tmp_path / "CONTRIBUTING.md")
    (tmp_path / "coverage.toml").write_text("# Percent\nconfig = 90.0\ndist = 60.0\n")
    (tmp_path / "CONTRIBUTING.md").write_text(
        f"before\n{module.BEGIN}\n{TABLE}| dist | 61.0 | 2029-01-01 |\n{END}\nafter\n"
    )
    return module


def run(script: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, percent: float, *options: str) -> int:
    report = folder / "config.json"
    report.write_text(json.dumps({"summary": {"percent_covered": percent}}))
    monkeypatch.setattr(sys, "argv", ["coverage_floors.py", str(report), *options])
    return int(script.main())


@pytest.mark.parametrize(("percent", "expected"), [(90.0, 0), (89.9, 1), (97.0, 0)])
def test_a_package_below_its_floor_fails(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, percent: float, expected: int
) -> None:
    assert run(script, tmp_path, monkeypatch, percent) == expected


def test_an_update_sets_the_floor_one_below_and_keeps_the_others(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(script, tmp_path, monkeypatch, 95.24, "--update") == 0
    assert script.read_floors(script.FLOORS.read_text()) == {"config": 94.2, "dist": 60.0}
    page = script.PAGE.read_text()
    config, dist = page.partition(TABLE)[2].splitlines()[:2]
    assert config.startswith("| config | 95.2 | 20")
    assert dist == "| dist | 61.0 | 2029-01-01 |"
    assert page.endswith(f"{END}\nafter\n")


SAMPLE_TEST = """
import multiprocessing, os, sys
sys.path.insert(0, {source!r})
import measured_sample

def double(number):
    return 2 * number

def test_in_this_process():
    assert measured_sample.ran() == 1

def test_in_a_forked_process():
    child = os.fork()
    if not child:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

def test_in_a_spawned_process():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map_async(double, [3]).get(60) == [6]
"""


def test_lines_that_run_are_noted_and_processes_start_and_end_as_they_do(tmp_path: Path) -> None:
    pytest.importorskip("slipcover", reason="nox -s tests installs it")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/measured_sample.py").write_text("def ran():\n    return 1\n\n\ndef idle():\n    return 2\n")
    (tmp_path / "sample/tests").mkdir(parents=True)
    (tmp_path / "sample/tests/test_sample.py").write_text(SAMPLE_TEST.format(source=str(tmp_path / "source")))
    report = tmp_path / "report.json"
    options = ("-q", "--import-mode=importlib", "-o", "consider_namespace_packages=true", "--rootdir", str(tmp_path))
    call = [
        sys.executable,
        str(SCRIPTS / "measured_tests.py"),
        str(tmp_path / "source"),
        str(report),
        *options,
        "sample",
    ]
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = json.loads(report.read_text())["files"].values()
    assert (file["executed_lines"], file["missing_lines"]) == ([1, 2, 5], [6])
