from __future__ import annotations

import pytest
import torch
from split_optimizer_parts import Net
from torch import nn

from eng.optim import OptimError, build_optim_wrapper

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim has Muon from 2.9 on")


def decayed(model, **rules):
    cfg = dict(
        optimizer=dict(type="AdamW", lr=1.0, weight_decay=0.1),
        constructor="LayerDecayOptimWrapperConstructor",
        paramwise_cfg=dict(decay_rate=0.5, **rules),
    )
    wrapper = build_optim_wrapper(model, cfg)
    names = {id(p): name for name, p in model.named_parameters()}
    return {names[id(group["params"][0])]: group for group in wrapper.optimizer.param_groups}


def test_layer_decay_from_the_head_to_the_embedding() -> None:
    groups = decayed(Net(), norm_decay_mult=0.0)
    rates = {name: group["lr"] for name, group in groups.items()}
    assert rates["embed.weight"] == 0.5**4
    assert [rates[f"layers.{index}.weight"] for index in range(3)] == [0.5**3, 0.5**2, 0.5]
    assert rates["norm.weight"] == rates["head.bias"] == 1.0
    assert groups["norm.weight"]["weight_decay"] == 0.0


def test_layers_by_a_pattern_and_by_the_model() -> None:
    class Renamed(nn.Module):
        def __init__(self):
            super().__init__()
            self.part0, self.part1 = nn.Linear(1, 1), nn.Linear(1, 1)

    rates = {name: group["lr"] for name, group in decayed(Renamed(), layers=r"part(\d)\.").items()}
    assert (rates["part0.weight"], rates["part1.weight"]) == (0.25, 0.5)
    Renamed.get_layer_depth = lambda self, name: (int(name[4]), 2)
    assert {name: group["lr"] for name, group in decayed(Renamed()).items()}["part0.weight"] == 0.5


@pytest.mark.parametrize(
    ("rules", "message"),
    [(dict(decay_rate=2), "decay_rate=.*got 2"), (dict(), "got None"), (dict(decay_rate=0.5, decayrate=1), "no rule 'decayrate'")],
    ids=["range", "missing", "unknown"],
)  # fmt: skip
def test_rules_that_cannot_be_followed(rules, message) -> None:
    cfg = dict(optimizer=dict(type="SGD", lr=1.0), constructor="LayerDecayOptimWrapperConstructor", paramwise_cfg=rules)
    with pytest.raises(OptimError, match=message):
        build_optim_wrapper(Net(), cfg)


def test_a_model_without_numbered_layers() -> None:
    with pytest.raises(OptimError, match=r"no parameter of Linear is in a numbered layer"):
        decayed(nn.Linear(1, 1))
