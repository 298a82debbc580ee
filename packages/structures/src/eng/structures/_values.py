"""What the tensor-like methods do to a single value of a field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

# Of these, one object may be in two elements without either noticing.
_IMMUTABLE = frozenset({int, float, bool, complex, str, bytes, type(None), torch.device, torch.dtype, torch.Size})


@runtime_checkable
class SupportsCat(Protocol):
    """A class whose objects can be rows of an `InstanceData`: it has a length, gives parts, and joins them."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: Any) -> Any: ...

    def cat(self, values: list[Any]) -> Any:
        """One object out of several; usually a static method."""


def copied(value: Any) -> Any:
    """A copy that shares nothing that can change; tensors keep their history, as ``Tensor.clone`` does."""
    cls = type(value)
    if cls in _IMMUTABLE:
        return value
    if isinstance(value, Tensor) or hasattr(value, "metainfo_items"):
        return value.clone()
    if cls is list:
        return [copied(item) for item in value]
    if cls is tuple:
        return tuple([copied(item) for item in value])
    if cls is dict:
        return {key: copied(item) for key, item in value.items()}
    if cls is np.ndarray and value.dtype != object:
        return value.copy()
    return copy.deepcopy(value)


def mapped(value: Any, change: Callable[[Any], Any], method: str | None) -> Any:
    """`change` on every tensor of a value, in lists, tuples and dictionaries too.

    Args:
        value: what a field holds.
        change: on tensors and data elements.
        method: objects of other classes that have a method of this name are changed too; None leaves them.
    """
    if isinstance(value, Tensor) or hasattr(value, "metainfo_items"):
        return change(value)
    cls = type(value)
    if cls is list:
        return [mapped(item, change, method) for item in value]
    if cls is tuple:
        return tuple([mapped(item, change, method) for item in value])
    if cls is dict:
        return {key: mapped(item, change, method) for key, item in value.items()}
    if method is not None and callable(getattr(value, method, None)):
        return change(value)
    return value


def as_array(value: Any) -> Any:
    """A tensor as a numpy array on the CPU, without history; bfloat16, which numpy lacks, as float32."""
    value = value.detach().cpu()
    return (value.float() if value.dtype is torch.bfloat16 else value).numpy()
