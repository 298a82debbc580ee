"""Rules for parameters as MMEngine applies them, while the alias is installed."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

import eng.compat


class Head(nn.Module):
    """Layers whose biases the rules of MMEngine and of eng treat differently."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.RMSNorm(4)


def weight_decays(rules: dict[str, Any]) -> dict[str, float]:
    from eng.optim import build_optim_wrapper

    head = Head()
    names = {id(parameter): name for name, parameter in head.named_parameters()}
    cfg = {"optimizer": {"type": "SGD", "lr": 1.0, "weight_decay": 1.0}, "paramwise_cfg": rules}
    groups = build_optim_wrapper(head, cfg).optimizer.param_groups
    return {names[id(group["params"][0])]: group["weight_decay"] for group in groups}


@pytest.mark.parametrize(
    ("rules", "decay_of"),
    [
        ({"bias_decay_mult": 0.0}, {"conv.bias": 0.0, "bn.bias": 0.0, "bn.weight": 1.0, "norm.weight": 1.0}),
        ({"bias_decay_mult": 0.0, "norm_decay_mult": 0.5}, {"conv.bias": 0.0, "bn.bias": 0.5, "norm.weight": 1.0}),
        ({"flat_decay_mult": 0.0}, {"conv.weight": 1.0, "bn.weight": 0.0, "norm.weight": 0.0}),
        ({"custom_keys": {"bn": {"decay_mult": 0.1}}}, {"bn.bias": 0.1, "conv.bias": 1.0}),
    ],
    ids=["biases", "biases and norms", "flat", "custom"],
)
def test_weight_decay_follows_the_reference(rules: dict[str, Any], decay_of: dict[str, float]) -> None:
    decays = weight_decays(rules)
    assert {name: decays[name] for name in decay_of} == decay_of


def test_weight_decay_follows_the_manual_without_the_alias() -> None:
    eng.compat.uninstall()
    decays = weight_decays({"bias_decay_mult": 0.0})
    assert (decays["conv.bias"], decays["bn.bias"]) == (0.0, 1.0)


@pytest.mark.parametrize(("bypass", "groups"), [(True, 3), (False, None)])
def test_a_shared_parameter_needs_bypass_duplicate(bypass: bool, groups: int | None) -> None:
    from eng.optim import build_optim_wrapper

    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    rules = {"norm_decay_mult": 0.0, "bypass_duplicate": bypass}
    cfg = {"optimizer": {"type": "SGD", "lr": 1.0, "weight_decay": 1.0}, "paramwise_cfg": rules}
    if groups is None:
        with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
            build_optim_wrapper(model, cfg)
    else:
        assert len(build_optim_wrapper(model, cfg).optimizer.param_groups) == groups
