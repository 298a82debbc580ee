"""Helpers shared by the tests of eng.optim."""

from __future__ import annotations

import pytest
import torch
from torch import nn


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def sgd():
    """An SGD of two groups: learning rates 0.1 and 0.02, momenta 0.9 and 0.8."""
    groups = [
        {"params": [nn.Parameter(torch.ones(1))], "lr": 0.1, "momentum": 0.9},
        {"params": [nn.Parameter(torch.ones(1))], "lr": 0.02, "momentum": 0.8},
    ]
    return torch.optim.SGD(groups, lr=0.1)
