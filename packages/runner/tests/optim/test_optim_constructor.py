"""From configs to wrappers: the default constructor's rules, its log lines, optimizers by name, mistakes."""

from __future__ import annotations

import torch
from optim_parts import Manual

from eng.optim import build_optim_wrapper


def test_parameters_may_have_another_name():
    class Hybrid(torch.optim.SGD):
        def __init__(self, model_params, lr):
            super().__init__(model_params, lr=lr)

    wrapper = build_optim_wrapper(Manual(), {"optimizer": {"type": Hybrid, "lr": 0.5}})
    assert wrapper.get_lr() == {"lr": [0.5]}
