"""A wrapper is known by its class; a child called ``module`` is a child."""

from __future__ import annotations

import torch
from checkpoint_parts import Nested
from torch import nn

from eng.checkpoint import get_state_dict
from eng.checkpoint.unwrap import unwrap
from eng.optim.optimizer import build_optim_wrapper
from eng.runner.assemble.compilation import compile_model


def test_wrappers_are_looked_through():
    model = Nested()
    assert unwrap(model) is model
    assert unwrap(nn.DataParallel(model)) is model
    assert unwrap(torch.compile(nn.DataParallel(model), backend="eager")) is model


def test_names_of_parameters_keep_the_child():
    model = Nested()
    optim = build_optim_wrapper(
        model,
        {
            "optimizer": {"type": "SGD", "lr": 0.1},
            "paramwise_cfg": {"custom_keys": {"module.weight": {"lr_mult": 0.1}}},
        },
    )
    by_rate = {group["lr"]: group["params"] for group in optim.param_groups}
    assert by_rate[0.010000000000000002] == [model.module.weight]
    assert list(get_state_dict(model)) == ["module.weight", "module.bias"]


def test_the_model_is_compiled_and_not_its_child():
    model = Nested()
    compile_model(model, {"backend": "eager"})
    assert model._compiled_call_impl is not None
    assert model.module._compiled_call_impl is None
