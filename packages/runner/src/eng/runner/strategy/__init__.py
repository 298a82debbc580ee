"""Strategies: one device, or several, behind one interface."""

from .base import BaseStrategy
from .ddp import DDPStrategy
from .single_device import SingleDeviceStrategy

__all__ = ["BaseStrategy", "SingleDeviceStrategy", "DDPStrategy"]
