from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from optim_command_parts import Services

from eng.optim._commands import lr
from eng.registry import DATASETS

CONFIG = {
    "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
    "param_scheduler": [
        {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 5},
        {"type": "MultiStepLR", "milestones": [2], "gamma": 0.1},
        {"type": "ReduceOnPlateauLR"},
    ],
    "train_cfg": {"by_epoch": True, "max_epochs": 3},
    "train_dataloader": {"batch_size": 2, "dataset": {"type": "Twenty"}},
}


class Twenty:
    def __len__(self):
        return 20


@pytest.fixture(autouse=True)
def dataset():
    DATASETS.register_module(module=Twenty, force=True)
    yield
    del DATASETS.module_dict["Twenty"]


def run(config, *words):
    services = Services(config)
    return CliRunner().invoke(lr, ["a.py", *words], obj=services), services


def points(config, *words):
    result, _ = run(config, "--json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_summary_for_reading():
    result, services = run(CONFIG)
    assert "lr: first 0.01, highest 0.1 at iteration 4, lowest 0.01" in result.output
    assert "momentum: first 0.9" in result.output
    assert services.built == 0


def test_no_scheduler_is_a_constant():
    config = {key: value for key, value in CONFIG.items() if key != "param_scheduler"}
    assert set(points(config)[""]["lr"][0]) == {0.1}


@pytest.mark.parametrize("name", ["lr.xyz", "lr"])
def test_a_picture_in_no_format_is_refused(tmp_path, name):
    pytest.importorskip("matplotlib")
    result, _ = run(CONFIG, "--plot", str(tmp_path / name))
    assert result.exit_code == 1
    assert f"{name}: a picture ends in one of" in result.output
    assert not list(tmp_path.iterdir())
