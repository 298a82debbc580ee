"""SingleDeviceStrategy: trains on one device."""

from __future__ import annotations

from torch import nn

from eng.device import get_device
from eng.registry import STRATEGIES

from .base import BaseStrategy


@STRATEGIES.register_module()
class SingleDeviceStrategy(BaseStrategy):
    """Moves the model to the device of this process and does not wrap the model.

    The arguments are those of :class:`BaseStrategy`.
    """

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Moves the model to its device."""
        return model.to(get_device())
