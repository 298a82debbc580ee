"""Turning values into what ``torch.load(weights_only=True)`` takes on any machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

_ATOMS = (str, bool, int, float, complex, bytes, type(None), torch.device, torch.dtype, torch.Size)


class NotPlainError(TypeError):
    """A value holds something that is neither a number, text, a container of such, nor a tensor.

    Attributes:
        culprit: qualified name of the type in question. A type of a function could not be sent to another process.
    """

    def __init__(self, culprit: type | str) -> None:
        self.culprit = culprit if isinstance(culprit, str) else f"{culprit.__module__}.{culprit.__qualname__}"
        super().__init__(self.culprit)


def to_plain(value: Any) -> Any:
    """A copy of `value` out of dicts, lists, tuples, sets, numbers, text and tensors only.

    Subclasses of these become the plain type, a numpy number a Python one, a numeric array a tensor, an array
    of text a list.

    Raises:
        NotPlainError: it holds anything else.
    """
    if type(value) in _ATOMS:
        return value
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.generic) and value.dtype.kind in "biufc":
        if value.itemsize > 8:
            value = value.astype(complex if value.dtype.kind == "c" else float)
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return _as_tensor(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "SU":
        return value.tolist()
    if isinstance(value, Mapping):
        return {to_plain(key): to_plain(item) for key, item in value.items()}
    for container in (list, tuple, set):
        if isinstance(value, container):
            return container(to_plain(item) for item in value)
    for atom in (str, int, float):
        if isinstance(value, atom):
            return atom(value)
    raise NotPlainError(type(value))


def _as_tensor(array: np.ndarray) -> torch.Tensor:
    """A tensor with the numbers of an array, which may be of the other byte order or longer than torch's."""
    longest = {"f": np.dtype(np.float64), "c": np.dtype(np.complex128)}.get(array.dtype.kind, array.dtype)
    dtype = longest if array.dtype.itemsize > longest.itemsize else array.dtype.newbyteorder("=")
    return torch.from_numpy(np.array(array, dtype=dtype, order="C"))
