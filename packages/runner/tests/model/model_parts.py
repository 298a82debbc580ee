"""What several tests of this folder share."""

from __future__ import annotations

import torch
from torch import nn

from eng.model import BaseModel, BaseModule, BaseTTAModel


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(2)
        self.tied = self.conv.weight

    def forward(self, x):
        return self.bn(self.conv(x))


IN, OUT = 300, 200


def layer():
    torch.manual_seed(0)
    return nn.Linear(IN, OUT)


class Parts(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(1, 1, 1)
        self.linear = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1)


class Mean(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return [sum(samples) / len(samples) for samples in data_samples_list]


class Echo(BaseModel):
    def forward(self, x, mode="tensor"):
        assert not torch.is_grad_enabled()
        return list(x)
