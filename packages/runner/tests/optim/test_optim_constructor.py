"""From configs to wrappers: the default constructor's rules, its log lines, optimizers by name, mistakes."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from eng.optim import build_optim_wrapper


class Manual(nn.Module):
    """The model of the manual's chapter on optimizer wrappers."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.ModuleDict({"layer0": nn.Linear(1, 1), "layer1": nn.Linear(1, 1)})
        self.head = nn.Sequential(OrderedDict(linear=nn.Linear(1, 1), bn=nn.BatchNorm1d(1)))


def test_parameters_may_have_another_name():
    class Hybrid(torch.optim.SGD):
        def __init__(self, model_params, lr):
            super().__init__(model_params, lr=lr)

    wrapper = build_optim_wrapper(Manual(), {"optimizer": {"type": Hybrid, "lr": 0.5}})
    assert wrapper.get_lr() == {"lr": [0.5]}
