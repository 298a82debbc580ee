from __future__ import annotations

import pytest
from optim_parts import CONFIG, Twenty, points, run

from eng.registry import DATASETS


@pytest.fixture(autouse=True)
def dataset():
    DATASETS.register_module(module=Twenty, force=True)
    yield
    del DATASETS.module_dict["Twenty"]


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
