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
