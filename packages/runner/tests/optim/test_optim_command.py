"""``eng lr``: what it shows, draws and asks for."""

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


def shown(param_scheduler, optim_wrapper=None, **train_cfg) -> dict:
    from eng.optim._schedule_of_config import previews_of

    cfg = dict(
        optim_wrapper=optim_wrapper or dict(optimizer=dict(type="SGD", lr=1.0)),
        param_scheduler=param_scheduler,
        train_cfg=train_cfg,
    )
    return {name: preview.lr[0] for name, preview in previews_of(cfg, lambda: None, epoch_length=4).items()}


def test_the_schedules_of_wrappers_by_the_names_of_submodules() -> None:
    wrappers = {name: dict(optimizer=dict(type="SGD", lr=lr)) for name, lr in (("generator", 1.0), ("critic", 2.0))}
    rates = shown(dict(type="StepLR", step_size=1), wrappers, max_epochs=2)
    assert rates == {"generator": pytest.approx([1.0] * 4 + [0.1] * 4), "critic": pytest.approx([2.0] * 4 + [0.2] * 4)}
