"""``eng lr``: what it shows, draws and asks for."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from torch import nn

from eng.config import Config
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


class Services:
    """What the front door lends."""

    built = 0

    def __init__(self, config):
        self.config = config

    def load_config(self, path, cfg_options=()):
        return Config(self.config)

    def build_model(self, cfg):
        self.built += 1
        return nn.ModuleDict({"backbone": nn.Linear(1, 1), "head": nn.Linear(1, 1)})


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


def test_shows_the_rate_of_each_iteration_over_the_run():
    found = points(CONFIG)[""]
    assert found["iterations"] == list(range(30))
    assert found["lr"][0] == pytest.approx([0.01, 0.0325, 0.055, 0.0775] + [0.1] * 16 + [0.01] * 10)
    assert found["momentum"][0] == [0.9] * 30


def test_a_summary_for_reading():
    result, services = run(CONFIG)
    assert "lr: first 0.01, highest 0.1 at iteration 4, lowest 0.01" in result.output
    assert "momentum: first 0.9" in result.output
    assert services.built == 0


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
    assert "last 0.01 (2 parameter groups)" in result.output
    assert "last 0.1 (2 parameter groups)" in result.output


def test_iterations_and_conversion():
    config = dict(CONFIG, train_cfg={"by_epoch": False, "max_iters": 12})
    config["param_scheduler"] = {"type": "ExponentialLR", "gamma": 0.5, "convert_to_iter_based": True, "end": 1}
    assert points(config, "--epoch-length", "4")[""]["lr"][0] == pytest.approx([0.1, 0.05, 0.025] + [0.0125] * 9)


def test_updates_are_counted_by_windows():
    config = dict(CONFIG, train_cfg={"by_epoch": False, "max_iters": 6})
    config["optim_wrapper"] = dict(accumulative_counts=2, **CONFIG["optim_wrapper"])
    config["param_scheduler"] = {"type": "PolyLR", "by": "update"}
    assert points(config)[""]["lr"][0] == pytest.approx([0.1, 0.1, 0.05, 0.05, 0, 0])


def test_ranks_share_an_epoch():
    assert len(points(CONFIG, "--world-size", "2")[""]["iterations"]) == 15


def test_no_scheduler_is_a_constant():
    config = {key: value for key, value in CONFIG.items() if key != "param_scheduler"}
    assert set(points(config)[""]["lr"][0]) == {0.1}


def test_several_optimizers():
    from eng.optim import OPTIM_WRAPPER_CONSTRUCTORS, OptimWrapperDict, build_optim_wrapper

    class Both:
        def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
            self.cfg = optim_wrapper_cfg

        def __call__(self, model):
            return OptimWrapperDict(**{name: build_optim_wrapper(model[name], one) for name, one in self.cfg.items()})

    OPTIM_WRAPPER_CONSTRUCTORS.register_module(module=Both, force=True)
    one = {"optimizer": {"type": "SGD", "lr": 0.1}}
    config = dict(
        CONFIG,
        optim_wrapper={"constructor": "Both", "backbone": one, "head": one},
        param_scheduler={"head": {"type": "ExponentialLR", "gamma": 0.5}},
    )
    try:
        found = points(config)
    finally:
        del OPTIM_WRAPPER_CONSTRUCTORS.module_dict["Both"]
    assert set(found["backbone"]["lr"][0]) == {0.1}
    assert found["head"]["lr"][0][-1] == 0.025


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "the config has no optim_wrapper"),
        (dict(CONFIG, train_cfg=None), "the config has no train_cfg"),
        (dict(CONFIG, train_dataloader={"dataset": 3}), "the length of an epoch is unknown.*give --epoch-length"),
        (dict(CONFIG, train_cfg={"by_epoch": True}), "no train_cfg.max_epochs"),
    ],
    ids=["empty", "no run", "no dataset", "no length"],
)
def test_mistakes(config, words):
    result, _ = run(config)
    assert isinstance(result.exception, (ValueError, KeyError))
    import re

    assert re.search(words, str(result.exception))


def test_without_matplotlib_it_names_the_extra(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result, _ = run(CONFIG, "--plot", str(tmp_path / "lr.png"))
    assert "pip install matplotlib" in result.output
    assert result.exit_code == 1


@pytest.mark.parametrize("name", ["lr.xyz", "lr"])
def test_a_picture_in_no_format_is_refused(tmp_path, name):
    pytest.importorskip("matplotlib")
    result, _ = run(CONFIG, "--plot", str(tmp_path / name))
    assert result.exit_code == 1
    assert f"{name}: a picture ends in one of" in result.output
    assert not list(tmp_path.iterdir())


def shown(param_scheduler, optim_wrapper=None, **train_cfg) -> dict:
    from eng.optim._schedule_of_config import previews_of

    cfg = dict(
        optim_wrapper=optim_wrapper or dict(optimizer=dict(type="SGD", lr=1.0)),
        param_scheduler=param_scheduler,
        train_cfg=train_cfg,
    )
    return {name: preview.lr[0] for name, preview in previews_of(cfg, lambda: None, epoch_length=4).items()}


def test_a_schedule_that_says_nothing_counts_what_the_run_counts() -> None:
    scheduler = dict(type="MultiStepLR", milestones=[2])
    assert shown(scheduler, max_iters=4)[""] == pytest.approx([1, 1, 0.1, 0.1])
    assert shown(scheduler, max_epochs=3)[""] == pytest.approx([1] * 8 + [0.1] * 4)


def test_the_schedules_of_wrappers_by_the_names_of_submodules() -> None:
    wrappers = {name: dict(optimizer=dict(type="SGD", lr=lr)) for name, lr in (("generator", 1.0), ("critic", 2.0))}
    rates = shown(dict(type="StepLR", step_size=1), wrappers, max_epochs=2)
    assert rates == {"generator": pytest.approx([1.0] * 4 + [0.1] * 4), "critic": pytest.approx([2.0] * 4 + [0.2] * 4)}
