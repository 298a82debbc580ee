"""One device."""

from __future__ import annotations

from torch import nn

from eng.device import get_device
from eng.registry import STRATEGIES

from .base import BaseStrategy


@STRATEGIES.register_module()
class SingleDeviceStrategy(BaseStrategy):
    """The model on the device that this process uses, without a wrapper; the arguments are the base's."""

    def convert_model(self, model: nn.Module) -> nn.Module:
        """The model on its device."""
        return model.to(get_device())
