"""The dataset's metainfo in a checkpoint: arrays lie there as tensors, which a plain ``torch.load`` reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def restore_metainfo(checkpoint: Any) -> None:
    """Turns the tensors in ``meta["dataset_meta"]`` of a loaded checkpoint into the arrays that the dataset had."""
    meta = checkpoint.get("meta") if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict) and "dataset_meta" in meta:
        meta["dataset_meta"] = _with_arrays(meta["dataset_meta"])


def _with_arrays(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return _as_array(value)
    if type(value) is dict:
        return {key: _with_arrays(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_with_arrays, value))
    return value


def _as_array(tensor: torch.Tensor) -> np.ndarray | torch.Tensor:
    try:
        return tensor.detach().cpu().numpy().copy()  # a copy: arrays are written to, a mapped file is not
    except (TypeError, NotImplementedError, RuntimeError):  # numpy has no bfloat16, and a meta tensor no values
        return tensor
