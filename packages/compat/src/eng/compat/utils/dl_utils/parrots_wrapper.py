"""Replaces ``mmengine.utils.dl_utils.parrots_wrapper``: classes of torch under the names that libraries import."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# torch has no public names for the common base classes of its layers, so they are taken from the public subclasses.
_BatchNorm = nn.BatchNorm2d.__mro__[1]
_InstanceNorm = nn.InstanceNorm2d.__mro__[1]
_ConvNd = nn.Conv2d.__mro__[1]
_ConvTransposeMixin = nn.ConvTranspose2d.__mro__[1]
_MaxPoolNd = nn.MaxPool2d.__mro__[1]
_AvgPoolNd = nn.AvgPool2d.__mro__[1]
_AdaptiveMaxPoolNd = nn.AdaptiveMaxPool2d.__mro__[1]
_AdaptiveAvgPoolNd = nn.AdaptiveAvgPool2d.__mro__[1]
SyncBatchNorm = SyncBatchNorm_ = nn.SyncBatchNorm
DataLoader = PoolDataLoader = torch.utils.data.DataLoader
TORCH_VERSION = torch.__version__


def is_rocm_pytorch() -> bool:
    """Whether this torch is built for AMD GPUs."""
    return torch.version.hip is not None


def get_build_config() -> Any:
    """Returns the build settings of torch as text."""
    return torch.__config__.show()
