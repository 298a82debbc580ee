"""What the tests beside ``test_tune.py`` share."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eng.model import BaseModel
from eng.runner import Runner


class Noisy(BaseModel):
    """A model with everything that a step changes: weights, statistics, a counter, random numbers, a logged value."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.num_calls = 0

    def forward(self, x: torch.Tensor, mode: str = "tensor") -> Any:
        self.num_calls += 1
        random.random()
        np.random.rand()
        return {"loss": (self.layers(x) - x.sum(1, keepdim=True)).square().mean()}


def runner(folder: Path, **settings: Any) -> Runner:
    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.randn(32, 3))
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(1))
    defaults = {
        "train_dataloader": loader, "train_cfg": {"by_epoch": False, "max_iters": 12}, "log_level": "WARNING",
        "optim_wrapper": {
            "optimizer": {"type": "Adam", "lr": 0.01}, "clip_grad": {"max_norm": 1.0},
            "paramwise_cfg": {"custom_keys": {"layers.0": {"lr_mult": 0.1}}},
        },
        "randomness": {"seed": 3},
    }  # fmt: skip
    return Runner(Noisy(), str(folder), **{**defaults, **settings})
