from __future__ import annotations

import pytest
import torch
from optim_parts import CONFIG, Twenty, points, run

from eng.registry import DATASETS


@pytest.fixture(autouse=True)
def dataset():
    DATASETS.register_module(module=Twenty, force=True)
    yield
    del DATASETS.module_dict["Twenty"]


def test_shows_the_rate_of_each_iteration_over_the_run():
    found = points(CONFIG)[""]
    assert found["iterations"] == list(range(30))
    assert found["lr"][0] == pytest.approx([0.01, 0.0325, 0.055, 0.0775] + [0.1] * 16 + [0.01] * 10)
    assert found["momentum"][0] == [0.9] * 30


@pytest.mark.parametrize(
    "loader", [[{"x": 1}] * 10, {"batch_size": 2, "dataset": [{"x": 1}] * 20}], ids=["batches", "samples"]
)
def test_an_epoch_is_as_long_as_a_list_of_batches_or_samples(loader):
    assert points(dict(CONFIG, train_dataloader=loader))[""] == points(CONFIG)[""]


def test_draws_a_picture(tmp_path):
    result, _ = run(CONFIG, "--plot", str(tmp_path / "lr.png"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")


def test_groups_that_depend_on_the_model():
    config = dict(CONFIG)
    config["optim_wrapper"] = {
        "optimizer": {"type": "SGD", "lr": 0.1},
        "paramwise_cfg": {"custom_keys": {"head": {"lr_mult": 10}}},
    }
    result, services = run(config)
    assert services.built == 1
    assert "last 0.01 (2 parameter groups: backbone.weight, backbone.bias)" in result.output
    assert "last 0.1 (2 parameter groups: head.weight, head.bias)" in result.output


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim has Muon from 2.9 on")
def test_groups_of_two_optimizers_are_told_by_their_class():
    split = {"type": "AdamW", "lr": 0.001}
    config = {**CONFIG, "optim_wrapper": {"optimizer": {"type": "Muon", "lr": 0.02, "split": split}}}
    result, services = run(config)
    assert services.built == 0
    lines = [line.rpartition(" (")[2] for line in result.output.splitlines() if line.startswith("lr: ")]
    assert lines == ["1 parameter group: Muon)", "1 parameter group: AdamW)"]


def test_iterations_and_conversion():
    config = dict(CONFIG, train_cfg={"by_epoch": False, "max_iters": 12})
    config["param_scheduler"] = {"type": "ExponentialLR", "gamma": 0.5, "convert_to_iter_based": True, "end": 1}
    assert points(config, "--epoch-length", "4")[""]["lr"][0] == pytest.approx([0.1, 0.05, 0.025] + [0.0125] * 9)


def test_updates_are_counted_by_windows():
    config = dict(CONFIG, train_cfg={"by_epoch": False, "max_iters": 6})
    config["optim_wrapper"] = dict(accumulative_counts=2, **CONFIG["optim_wrapper"])
    config["param_scheduler"] = {"type": "PolyLR", "by": "update"}
    assert points(config)[""]["lr"][0] == pytest.approx([0.1, 0.1, 0.05, 0.05, 0, 0])


def test_without_matplotlib_it_names_the_extra(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result, _ = run(CONFIG, "--plot", str(tmp_path / "lr.png"))
    assert "pip install matplotlib" in result.output
    assert result.exit_code == 1
