"""Numbers by name, from whatever a metric computes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["metric_name", "named_values"]


def metric_name(cls: type) -> str:
    """The name of a metric's class in the log.

    Examples:
        >>> class MeanSquaredError: ...
        >>> class F1: ...
        >>> class BinaryF1Score: ...
        >>> metric_name(MeanSquaredError), metric_name(F1), metric_name(BinaryF1Score)
        ('mean_squared_error', 'f1', 'binary_f1_score')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def named_values(name: str, value: Any) -> dict[str, Any]:
    """Values by name: one number under `name`, several under ``name/0``, ``name/1``, nested mappings under their path.

    Args:
        name: of the whole; an empty text leaves the keys of a mapping as they are.
        value: a number, a tensor or an array, or a mapping or sequence of such; what is none of them stays as it is.

    Examples:
        >>> named_values("iou", {"mean": torch.tensor(0.5), "classes": torch.tensor([0.25, 0.75])})
        {'iou/mean': 0.5, 'iou/classes/0': 0.25, 'iou/classes/1': 0.75}
    """
    if isinstance(value, Mapping):
        return {
            key: leaf
            for inner, item in value.items()
            for key, leaf in named_values(f"{name}/{inner}" if name else str(inner), item).items()
        }
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        size = value.numel() if isinstance(value, torch.Tensor) else value.size
        return {name: value.item()} if size == 1 else named_values(name, value.tolist())
    if isinstance(value, (list, tuple)):
        return {
            key: leaf for index, item in enumerate(value) for key, leaf in named_values(f"{name}/{index}", item).items()
        }
    return {name: value}
