"""What the tests beside ``test_strategies.py`` share."""

from __future__ import annotations

import torch

from eng.model import BaseModel


class Line(BaseModel):
    """One weight and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor") -> dict[str, torch.Tensor]:
        return {"loss": (self.fit(x) - y).square().mean()}
