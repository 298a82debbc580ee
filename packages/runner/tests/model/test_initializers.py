from __future__ import annotations

import logging
import math

import pytest
import torch
from model_parts import Parts
from torch import nn

from eng.logging import MMLogger
from eng.model import (
    BaseInit,
    InitCfgError,
    OverrideTargetError,
    PretrainedInit,
    bias_init_with_prob,
    constant_init,
    initialize,
)
from eng.registry import WEIGHT_INITIALIZERS


def test_bias_by_probability():
    assert 1 / (1 + math.exp(-bias_init_with_prob(0.01))) == pytest.approx(0.01)
    module = nn.Linear(1, 1)
    initialize(module, {"type": "Constant", "val": 0, "layer": "Linear", "bias_prob": 0.01})
    assert torch.sigmoid(module.bias).item() == pytest.approx(0.01)


def values(module):
    return [module.conv.weight.item(), module.linear.weight.item(), module.norm.weight.item()]


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        ({"type": "Constant", "layer": "Conv2d", "val": 2}, [2, None, 1]),
        ({"type": "Constant", "layer": ["Conv2d", "Linear"], "val": 2}, [2, 2, 1]),
        (
            [{"type": "Constant", "layer": "Conv2d", "val": 2}, {"type": "Constant", "layer": "Linear", "val": 3}],
            [2, 3, 1],
        ),
        ({"type": "Constant", "layer": "_ConvNd", "val": 2}, [2, None, 1]),
        ({"type": "Constant", "val": 2}, [None, None, 1]),
        ({"type": "Constant", "layer": "Conv2d", "val": 2, "override": {"name": "linear"}}, [2, 2, 1]),
        (
            {
                "type": "Constant",
                "layer": "Conv2d",
                "val": 2,
                "override": {"type": "Constant", "name": "linear", "val": 5},
            },
            [2, 5, 1],
        ),
        (
            {
                "type": "Constant",
                "val": 2,
                "override": [{"name": "linear"}, {"type": "Constant", "name": "norm", "val": 6}],
            },
            [None, 2, 6],
        ),
    ],
    ids=["layer", "layers", "list", "base", "no-layer", "override-name", "override", "overrides"],
)
def test_layers_and_overrides(cfg, expected):
    module = Parts(cfg)
    before = values(module)
    module.init_weights()
    assert values(module) == [old if new is None else new for old, new in zip(before, expected, strict=True)]


BAD = {
    "no-name": (
        {"type": "Constant", "val": 1, "override": {"type": "Constant", "val": 2}},
        InitCfgError,
        "an override needs 'name', the child it is for; it has {'type': 'Constant', 'val': 2}",
    ),
    "no-type": (
        {"type": "Constant", "val": 1, "override": {"name": "conv", "val": 2}},
        InitCfgError,
        "the override of 'conv' needs a 'type', or nothing beside its name",
    ),
    "no-child": (
        {"type": "Constant", "val": 1, "override": {"name": "cnov"}},
        OverrideTargetError,
        "an override names 'cnov', which Parts has not; did you mean 'conv'",
    ),
    "bad-override": (
        {"type": "Constant", "val": 1, "override": 3},
        TypeError,
        "override takes one dict, or several in a list, got int",
    ),
    "unknown": ({"type": "Konstant", "val": 1}, KeyError, "Constant"),
    "bias": ({"type": "Constant", "val": 1, "bias": "a"}, TypeError, "bias takes a number, got str"),
    "prob": ({"type": "Constant", "val": 1, "bias_prob": "a"}, TypeError, "bias_prob must be a float, got str"),
    "layer": (
        {"type": "Constant", "val": 1, "layer": 3},
        TypeError,
        "layer must be a class name or a list of them, got int",
    ),
    "list": (["Constant"], TypeError, "init_cfg takes one dict, or several in a list, got a list with str"),
    "number": (3, TypeError, "init_cfg takes one dict, or several in a list, got int"),
    "distribution": (
        {"type": "Xavier", "layer": "Linear", "distribution": "log"},
        ValueError,
        "'uniform' or 'normal', got 'log'",
    ),
}


@pytest.mark.parametrize(("cfg", "error", "match"), BAD.values(), ids=BAD)
def test_bad_init_cfg_is_named(cfg, error, match):
    module = Parts(cfg)
    with pytest.raises(error, match=match):
        module.init_weights()
    assert not hasattr(module, "_params_init_info")
    with pytest.raises(error, match=match):
        initialize(Parts(), cfg)


def test_pretrained_runs_last_and_takes_a_prefix(tmp_path):
    source = nn.Sequential()
    source.add_module("backbone", Parts())
    constant_init(source.backbone.conv, 7, 7)
    file = tmp_path / "a.pth"
    torch.save({"state_dict": source.state_dict()}, file)
    module = Parts(
        [
            {"type": "Pretrained", "checkpoint": str(file), "prefix": "backbone"},
            {"type": "Constant", "layer": "Conv2d", "val": 1},
        ]
    )
    module.init_weights()
    assert module.conv.weight.item() == 7
    plain = nn.Sequential()
    plain.add_module("backbone", Parts())
    PretrainedInit(str(file))(plain)
    assert plain.backbone.conv.bias.item() == 7
    with pytest.raises(InitCfgError, match=r"holds nothing under the prefix 'neck\.'; it has \['backbone'\]"):
        PretrainedInit(str(file), prefix="neck")(Parts())


def test_without_a_file_the_record_goes_to_the_debug_log(caplog):
    MMLogger.get_instance("no-file")
    with caplog.at_level(logging.DEBUG, logger="eng.model"):
        Parts({"type": "Constant", "layer": "Conv2d", "val": 2}).init_weights()
    assert "ConstantInit: val=2, bias=0" in caplog.text


def test_an_initialiser_of_ones_own():
    @WEIGHT_INITIALIZERS.register_module(force=True)
    class Sevens(BaseInit):
        def __call__(self, module):
            module.apply(lambda part: constant_init(part, 7))

    module = Parts({"type": "Sevens"})
    module.init_weights()
    assert values(module) == [7, 7, 7]
