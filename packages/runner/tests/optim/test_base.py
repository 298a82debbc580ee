from __future__ import annotations

import torch
from optim_ranks import mlp

from eng.optim import OptimWrapper


def sgd(model, lr=0.5):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


def test_rates_momenta_and_groups():
    model = mlp()
    wrapper = OptimWrapper(sgd(model))
    assert wrapper.get_lr() == {"lr": [0.5]}
    assert wrapper.get_momentum() == {"momentum": [0.9]}
    assert wrapper.param_groups is wrapper.optimizer.param_groups
    assert wrapper.defaults["lr"] == 0.5
    assert "Type: OptimWrapper" in repr(wrapper)
    several = OptimWrapper(torch.optim.Adam([{"params": [p]} for p in model.parameters()], lr=0.2, betas=(0.7, 0.9)))
    assert several.get_lr() == {"base_lr": [0.2], "lr": [0.2] * 4}
    assert several.get_momentum() == {"momentum": [0.7] * 4}
    assert len(several.param_groups) == 5
    assert OptimWrapper(torch.optim.Adagrad(model.parameters())).get_momentum() == {"momentum": [0]}


class Bare:
    """An optimizer of another library, without ``defaults``."""

    def __init__(self, *groups):
        self.param_groups = [{"params": list(group), "lr": 0.5} for group in groups]

    def step(self):
        pass


def test_an_optimizer_without_defaults():
    model = mlp()
    assert OptimWrapper(Bare(model.parameters())).defaults == {}
    several = OptimWrapper(Bare(list(model.parameters())[:2], list(model.parameters())[2:]))
    assert several.get_lr() == {"lr": [0.5, 0.5]}
    assert several.param_groups is several.optimizer.param_groups
