from __future__ import annotations

import math

import pytest
import torch
from model_parts import IN, OUT, layer
from torch import nn

from eng.model import (
    caffe2_xavier_init,
    constant_init,
    initialize,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)
from eng.model.weight_init import trunc_normal_

MOMENTS = {
    "constant": ({"type": "Constant", "val": 0.3}, lambda m, b: constant_init(m, 0.3, b), 0.3, 0.0),
    "normal": ({"type": "Normal", "mean": 1, "std": 0.5}, lambda m, b: normal_init(m, 1, 0.5, b), 1.0, 0.5),
    "xavier": ({"type": "Xavier", "gain": 2}, lambda m, b: xavier_init(m, 2, b), 0.0, 2 * math.sqrt(2 / (IN + OUT))),
    "xavier-uniform": (
        {"type": "Xavier", "distribution": "uniform"},
        lambda m, b: xavier_init(m, bias=b, distribution="uniform"),
        0.0,
        math.sqrt(2 / (IN + OUT)),
    ),
    "uniform": ({"type": "Uniform", "a": 1, "b": 3}, lambda m, b: uniform_init(m, 1, 3, b), 2.0, 2 / math.sqrt(12)),
    "trunc": ({"type": "TruncNormal", "std": 0.1}, lambda m, b: trunc_normal_init(m, std=0.1, bias=b), 0.0, 0.1),
    "kaiming": ({"type": "Kaiming"}, lambda m, b: kaiming_init(m, bias=b), 0.0, math.sqrt(2 / OUT)),
    "kaiming-in-uniform": (
        {"type": "Kaiming", "mode": "fan_in", "distribution": "uniform"},
        lambda m, b: kaiming_init(m, mode="fan_in", bias=b, distribution="uniform"),
        0.0,
        math.sqrt(2 / IN),
    ),
    "caffe2": ({"type": "Caffe2Xavier"}, lambda m, b: caffe2_xavier_init(m, b), 0.0, math.sqrt(1 / IN)),
}


@pytest.mark.parametrize(("cfg", "function", "mean", "std"), MOMENTS.values(), ids=MOMENTS)
def test_initialisers_have_the_moments_of_their_formula(cfg, function, mean, std):
    by_cfg, by_function = layer(), layer()
    torch.manual_seed(1)
    initialize(by_cfg, {**cfg, "layer": "Linear", "bias": 0.25})
    torch.manual_seed(1)
    function(by_function, 0.25)
    assert torch.equal(by_cfg.weight, by_function.weight)
    assert (by_cfg.bias == 0.25).all() and (by_function.bias == 0.25).all()
    assert by_cfg.weight.mean().item() == pytest.approx(mean, abs=0.01)
    assert by_cfg.weight.std().item() == pytest.approx(std, rel=0.02, abs=1e-6)


def test_truncated_values_of_a_seed_are_those_of_the_reference():
    torch.manual_seed(1)  # values from MMEngine 0.10.7
    assert trunc_normal_(torch.empty(4))[:2].tolist() == [0.661672055721283, -0.5552778840065002]
    torch.manual_seed(1)
    assert trunc_normal_(torch.empty(4), std=0.02)[:2].tolist() == [0.013974087312817574, -0.011697798036038876]


def test_truncation_cuts_values():
    tensor = trunc_normal_(torch.empty(10000), std=5, a=-1, b=2)
    assert tensor.min() >= -1 and tensor.max() <= 2


@pytest.mark.parametrize(
    "function",
    [
        lambda module: constant_init(module, 1),
        xavier_init,
        normal_init,
        trunc_normal_init,
        uniform_init,
        kaiming_init,
        caffe2_xavier_init,
    ],
    ids=["constant", "xavier", "normal", "trunc_normal", "uniform", "kaiming", "caffe2_xavier"],
)
def test_layers_without_weight_or_bias_keep_what_they_have(function):
    linear, norm, bare = nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2, affine=False), nn.ReLU()
    before = linear.weight.detach().clone()
    for module in (linear, norm, bare):
        function(module)
    assert not torch.equal(linear.weight, before)
    assert [name for layer in (linear, norm, bare) for name, _ in layer.named_parameters()] == ["weight"]
    assert torch.equal(norm.running_var, torch.ones(2))
