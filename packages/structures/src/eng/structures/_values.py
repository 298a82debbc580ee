"""Copies and converts single values of fields, for methods of data elements such as `clone`, `to` and `numpy`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

# Objects of these types are immutable, so the copy of a data element may share them with the original.
_IMMUTABLE = frozenset({int, float, bool, complex, str, bytes, type(None), torch.device, torch.dtype, torch.Size})


@runtime_checkable
class SupportsCat(Protocol):
    """Interface that a class needs to be used for fields of `InstanceData`: length, slices and concatenation."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: Any) -> Any: ...

    def cat(self, values: list[Any]) -> Any:
        """Concatenates several objects of this class into one; usually a static method."""


def copy_value(value: Any) -> Any:
    """Returns a deep copy of a field's value; tensors are cloned, so that gradients flow back to the original.

    Nested data elements (recognized by their method ``metainfo_items``) are cloned; lists, tuples and dictionaries are
    copied item by item. Immutable values are returned themselves.
    """
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
    """Replaces every tensor and data element in a value by what `change` returns for it, and returns the new value.

    Tensors and elements inside lists, tuples and dictionaries are replaced too.

    Args:
        value: the value of a field.
        change: called with a tensor or a data element; returns its replacement.
        method: objects of other classes are replaced too if they have a method of this name, such as ``'to'``; None
            leaves all other objects unchanged.
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
