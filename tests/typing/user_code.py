"""What a user's type checker must accept, and know the types of."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from typing_extensions import assert_type  # Python 3.10

from eng.config import Config, ConfigDict
from eng.hooks import Hook
from eng.model import BaseModel
from eng.registry import Registry
from eng.runner import Runner
from eng.structures import BaseDataElement, InstanceData


class Sample(BaseDataElement):
    """A data sample with one typed field."""

    _boxes: InstanceData

    @property
    def boxes(self) -> InstanceData:
        return self._boxes

    @boxes.setter
    def boxes(self, value: InstanceData) -> None:
        self.set_field(value, "_boxes", dtype=InstanceData)


class Line(BaseModel):
    """A model of a user's."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor") -> Any:
        return {"loss": (self.layer(x) - y).square().mean()}


class Count(Hook):
    """A hook of a user's."""

    seen = 0

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self.seen += 1


TOOLS = Registry("tool", scope="mine")


def use() -> None:
    """Uses the public interface as a user would."""
    cfg = Config.fromfile("config.py")
    assert_type(cfg, Config)
    node = ConfigDict(a=1)
    node.b = 2
    runner = Runner.from_cfg(cfg)
    assert_type(runner, Runner)
    assert_type(runner.train(), nn.Module)
    assert_type(runner.val(), dict[str, float])
    assert_type(Sample().boxes, InstanceData)
    runner.register_hook(Count())
