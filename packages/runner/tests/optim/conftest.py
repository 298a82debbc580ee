"""Helpers shared by the tests of eng.optim."""

from __future__ import annotations

import logging

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


class Records(logging.Handler):
    """Keeps what is logged; called, gives its text."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)

    def __call__(self):
        return "\n".join(record.getMessage() for record in self.records)


@pytest.fixture
def logged():
    """What eng.optim logs, whatever handlers a run's logger has."""
    logger = logging.getLogger("eng.optim")
    records, level = Records(), logger.level
    logger.addHandler(records)
    logger.setLevel(logging.INFO)
    yield records
    logger.setLevel(level)
    logger.removeHandler(records)
