"""``mmengine.utils.dl_utils.torch_ops``."""

from __future__ import annotations

import torch


def torch_meshgrid(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """`torch.meshgrid` with matrix indexing, which torch wants named."""
    return torch.meshgrid(*tensors, indexing="ij")
