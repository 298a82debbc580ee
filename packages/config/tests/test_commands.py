from __future__ import annotations

import json

import pytest
from config_parts import Write

from eng.config._commands import config

click_testing = pytest.importorskip("click.testing")


@pytest.fixture(autouse=True)
def files(write: Write) -> None:
    write(
        b_py="m = dict(depth=50)",
        a_py="_base_ = 'b.py'\nm = dict(depth=101)\nx = [1, 2]",
        bad_py="import os\nx = os.sep",
    )


def run(*words: str) -> tuple[int, str]:
    result = click_testing.CliRunner().invoke(config, list(words))
    return result.exit_code, result.output or str(result.exception or "")


def test_show() -> None:
    assert run("show", "a.py", "--cfg-options", "x.0=9") == (0, "m = dict(depth=101)\nx = [9, 2]\n")


def test_show_in_other_formats() -> None:
    assert json.loads(run("show", "a.py", "--format", "json")[1]) == {"m": {"depth": 101}, "x": [1, 2]}
    assert run("show", "a.py", "--format", "yaml")[1] == "m:\n  depth: 101\nx:\n- 1\n- 2\n"


def test_show_without_trust() -> None:
    assert run("show", "bad.py")[0] == 0
    status, output = run("show", "bad.py", "--no-trust")
    assert status == 1
    assert "bad.py:1: the import of os is not allowed with trust=False" in output


def test_explain() -> None:
    status, output = run("explain", "a.py", "m.depth", "--cfg-options", "m.depth=1")
    assert status == 0
    assert output.splitlines() == [
        "m.depth",
        "  1. base file             b.py:1  = 50",
        "  2. child file            a.py:2  = 101",
        "  3. command line  = 1",
    ]


def test_explain_of_a_missing_key() -> None:
    status, output = run("explain", "a.py", "m.dept")
    assert status == 1
    assert "did you mean 'm.depth'" in output


def test_a_malformed_override_is_a_usage_error() -> None:
    status, output = run("show", "a.py", "--cfg-options", "m.depth")
    assert status == 2
    assert "expected key=value" in output
