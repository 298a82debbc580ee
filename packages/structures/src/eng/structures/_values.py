"""Copies and converts single values of fields, for methods of data elements such as `clone`, `to` and `numpy`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

# Objects of these types cannot change, so two elements may share them without a copy.
_IMMUTABLE = frozenset({int, float, bool, complex, str, bytes, type(None), torch.device, torch.dtype, torch.Size})


@runtime_checkable
class SupportsCat(Protocol):
    """A class that can be used for fields of `InstanceData`: it has a length, can be sliced and concatenated."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: Any) -> Any: ...

    def cat(self, values: list[Any]) -> Any:
        """Concatenates several objects to one; usually a static method."""


def copy_value(value: Any) -> Any:
    """Returns a deep copy of a value; tensors are cloned, so that gradients flow back to the original."""
    cls = type(value)
    if cls in _IMMUTABLE:
        return value
    if isinstance(value, Tensor) or hasattr(value, "metainfo_items"):
        return value.clone()
    if cls is list:
        return [copy_value(item) for item in value]
    if cls is tuple:
        return tuple([copy_value(item) for item in value])
    if cls is dict:
        return {key: copy_value(item) for key, item in value.items()}
    if cls is np.ndarray and value.dtype != object:
        return value.copy()
    return copy.deepcopy(value)


def map_tensors(value: Any, change: Callable[[Any], Any], method: str | None) -> Any:
    """Applies a function to every tensor and data element in a value, also inside lists, tuples and dictionaries.

    Args:
        value: the value of a field.
        change: the function.
        method: objects of other classes are also passed to `change` if they have a method of this name; None for never.
    """
    if isinstance(value, Tensor) or hasattr(value, "metainfo_items"):
        return change(value)
    cls = type(value)
    if cls is list:
        return [map_tensors(item, change, method) for item in value]
    if cls is tuple:
        return tuple([map_tensors(item, change, method) for item in value])
    if cls is dict:
        return {key: map_tensors(item, change, method) for key, item in value.items()}
    if method is not None and callable(getattr(value, method, None)):
        return change(value)
    return value


def as_array(value: Any) -> Any:
    """Converts a tensor to a numpy array; bfloat16, which numpy does not support, becomes float32."""
    value = value.detach().cpu()
    return (value.float() if value.dtype is torch.bfloat16 else value).numpy()
