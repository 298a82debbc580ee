from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from eng.cli import main
from eng.registry import MODELS


@pytest.fixture
def net() -> Iterator[None]:
    pytest.importorskip("eng.runner")

    class Net:
        def __init__(self, depth: int) -> None:
            raise AssertionError("built")

    with MODELS.isolated(empty=True):
        MODELS.register_module(module=Net)
        yield


def test_config_check_prints_file_and_line_and_exits_1(tmp_path: Path, capsys, net: None) -> None:
    file = tmp_path / "a.py"
    file.write_text("model = dict(\n    type='Net',\n    depht=3)\n\noptim_wraper = dict()\n", "utf-8")
    assert main(["config", "check", str(file)]) == 1
    written = capsys.readouterr()
    assert f"{file}:3 model.depht: Net takes no argument 'depht'; did you mean 'depth'?" in written.out
    assert f"{file}:5 optim_wraper: no key 'optim_wraper' is known here; did you mean 'optim_wrapper'?" in written.out
    assert "3 findings" in written.err


def test_config_check_as_json(tmp_path: Path, capsys, net: None) -> None:
    file = tmp_path / "a.py"
    file.write_text("model = dict(type='Net', depth=3)\n", "utf-8")
    assert main(["config", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["config", "check", str(file), "--json", "--cfg-options", "model.dept=1", "modle=1"]) == 1
    assert [each["kind"] for each in json.loads(capsys.readouterr().out)] == ["unknown-argument", "unknown-key"]


def test_config_check_without_executing(tmp_path: Path, capsys, net: None) -> None:
    file = tmp_path / "a.py"
    file.write_text("model = dict(type='Net', depht=3)\n", "utf-8")
    assert main(["config", "check", str(file), "--no-trust"]) == 1
    file.write_text("import os\nmodel = dict(type='Net', depth=3)\n", "utf-8")
    assert main(["config", "check", str(file)]) == 0
    assert main(["config", "check", str(file), "--no-trust"]) == 2
    assert "a.py:1: the import of os is not allowed" in capsys.readouterr().err
