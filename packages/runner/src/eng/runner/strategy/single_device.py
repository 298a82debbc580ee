"""SingleDeviceStrategy: trains on one device."""

from __future__ import annotations

from torch import nn

from eng.device import get_device
from eng.registry import STRATEGIES

from .base import BaseStrategy


@STRATEGIES.register_module()
class SingleDeviceStrategy(BaseStrategy):
    """Moves the model to the device of this process, without a wrapper; takes the arguments of :class:`BaseStrategy`."""

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Moves the model to its device."""
        return model.to(get_device())
