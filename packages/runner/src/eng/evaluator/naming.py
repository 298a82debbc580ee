"""Names for metrics, and for the values in the result of a metric."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["metric_name", "named_values"]


def metric_name(cls: type) -> str:
    """Returns the name of a metric in the log: its class name in lower case, with underscores between words.

    Examples:
        >>> class MeanSquaredError: ...
        >>> class F1: ...
        >>> class BinaryF1Score: ...
        >>> metric_name(MeanSquaredError), metric_name(F1), metric_name(BinaryF1Score)
        ('mean_squared_error', 'f1', 'binary_f1_score')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def named_values(name: str, value: Any) -> dict[str, Any]:
    """Flattens the result of a metric to a dict of numbers by name.

    A number is named `name`, the items of a sequence ``name/0``, ``name/1`` and so on, and the values of a mapping
    ``name/key``.

    Args:
        name: name of the result; with an empty name the keys of a mapping are the names of its values.
        value: a number, a tensor or an array, or a mapping or sequence of these. Other values are kept as they are.

    Examples:
        >>> named_values("iou", {"mean": torch.tensor(0.5), "classes": torch.tensor([0.25, 0.75])})
        {'iou/mean': 0.5, 'iou/classes/0': 0.25, 'iou/classes/1': 0.75}
    """
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        if math.prod(value.shape) == 1:
            return {name: value.item()}
        return named_values(name, value.tolist())
    values: dict[str, Any] = {}
    if isinstance(value, Mapping):
        for key, item in value.items():
            path = str(key)
            if name:
                path = f"{name}/{key}"
            values.update(named_values(path, item))
        return values
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            values.update(named_values(f"{name}/{index}", item))
        return values
    return {name: value}
