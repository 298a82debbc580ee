"""``eng lr``: what it shows, draws and asks for."""

from __future__ import annotations

import pytest
from optim_parts import CONFIG, Twenty, points, shown

from eng.registry import DATASETS


@pytest.fixture(autouse=True)
def dataset():
    DATASETS.register_module(module=Twenty, force=True)
    yield
    del DATASETS.module_dict["Twenty"]


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


def test_the_schedules_of_wrappers_by_the_names_of_submodules() -> None:
    wrappers = {name: dict(optimizer=dict(type="SGD", lr=lr)) for name, lr in (("generator", 1.0), ("critic", 2.0))}
    rates = shown(dict(type="StepLR", step_size=1), wrappers, max_epochs=2)
    assert rates == {"generator": pytest.approx([1.0] * 4 + [0.1] * 4), "critic": pytest.approx([2.0] * 4 + [0.2] * 4)}
