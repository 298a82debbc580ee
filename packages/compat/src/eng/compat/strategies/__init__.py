"""The strategies of ``mmengine._strategy``, implemented with those of :mod:`eng.runner.strategy`."""

from __future__ import annotations

from .base import BaseStrategy
from .kinds import ColossalAIStrategy, DDPStrategy, DeepSpeedStrategy, FSDPStrategy, SingleDeviceStrategy

__all__ = [
    "BaseStrategy",
    "ColossalAIStrategy",
    "DDPStrategy",
    "DeepSpeedStrategy",
    "FSDPStrategy",
    "SingleDeviceStrategy",
]
