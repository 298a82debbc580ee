from __future__ import annotations

import pytest
import torch

from eng.optim import ExponentialMomentum, LinearMomentum, OptimWrapper


class TestMomentum:
    def test_of_sgd(self, sgd):
        ExponentialMomentum(sgd, gamma=0.5).step()
        assert [group["momentum"] for group in sgd.param_groups] == [0.45, 0.4]

    def test_of_adam_is_its_first_beta(self):
        optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], betas=(0.8, 0.99))
        ExponentialMomentum(OptimWrapper(optimizer), gamma=0.5).step()
        assert optimizer.param_groups[0]["betas"] == (0.4, 0.99)

    def test_an_optimizer_without_one(self):
        optimizer = torch.optim.Adagrad([torch.zeros(1, requires_grad=True)])
        with pytest.raises(ValueError, match="needs an optimizer with 'momentum' or 'betas'; Adagrad has"):
            LinearMomentum(optimizer)
