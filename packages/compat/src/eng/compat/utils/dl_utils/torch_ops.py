"""Replaces ``mmengine.utils.dl_utils.torch_ops``."""

from __future__ import annotations

import torch


def torch_meshgrid(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Calls `torch.meshgrid` with ``indexing="ij"``, because torch warns if the argument is missing."""
    return torch.meshgrid(*tensors, indexing="ij")
