"""The dataset's metainfo in a checkpoint: arrays are saved as tensors, since plain ``torch.load`` refuses arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def restore_metainfo(checkpoint: Any) -> None:
    """Turns the tensors in ``meta["dataset_meta"]`` of a loaded checkpoint back into numpy arrays."""
    meta: Any = None
    if isinstance(checkpoint, dict):
        meta = checkpoint.get("meta")
    if isinstance(meta, dict) and "dataset_meta" in meta:
        meta["dataset_meta"] = _with_arrays(meta["dataset_meta"])


def _with_arrays(value: Any) -> Any:
    """Returns a nested value with its tensors converted to numpy arrays."""
    if isinstance(value, torch.Tensor):
        return _as_array(value)
    if type(value) is dict:
        return {key: _with_arrays(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_with_arrays, value))
    return value


def _as_array(tensor: torch.Tensor) -> np.ndarray | torch.Tensor:
    try:
        # The tensor may be memory-mapped, and users may write to the array, so the array is a copy.
        return tensor.detach().cpu().numpy().copy()
    except (TypeError, NotImplementedError, RuntimeError):
        # numpy has no bfloat16, and a tensor on the device "meta" has no values. Such a tensor is returned unchanged.
        return tensor
