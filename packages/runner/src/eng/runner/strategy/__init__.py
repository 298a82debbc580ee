"""Strategies: train a model on one device, with DDP, FSDP2, DeepSpeed or a device mesh, through one interface."""

from .base import BaseStrategy
from .ddp import DDPStrategy
from .deepspeed import DeepSpeedStrategy
from .fsdp import FSDPStrategy
from .mesh import MeshStrategy
from .sharded_files import export_to_file
from .single_device import SingleDeviceStrategy

__all__ = [
    "BaseStrategy",
    "DDPStrategy",
    "DeepSpeedStrategy",
    "FSDPStrategy",
    "MeshStrategy",
    "SingleDeviceStrategy",
    "export_to_file",
]
