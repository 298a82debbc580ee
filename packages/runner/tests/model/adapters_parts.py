"""What several tests of this folder share."""

from __future__ import annotations

from torch import nn


class Net(nn.Module):
    def __init__(self, hidden: int = 4) -> None:
        super().__init__()
        self.body = nn.Linear(2, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.head = nn.Linear(hidden, 3)

    def forward(self, x):
        return self.head(self.norm(self.body(x)).relu())
