"""Converts values to types that ``torch.load(weights_only=True)`` can read on any machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

_ATOMS = (str, bool, int, float, complex, bytes, type(None), torch.device, torch.dtype, torch.Size)


class NotPlainError(TypeError):
    """A value contains an object that is neither a number, a text, a tensor nor a container of these.

    Attributes:
        culprit: qualified name of the object's type. It is a text, because a class that is defined inside a function cannot
            be pickled with the error.
    """

    def __init__(self, culprit: type | str) -> None:
        if isinstance(culprit, type):
            culprit = f"{culprit.__module__}.{culprit.__qualname__}"
        self.culprit = culprit
        super().__init__(self.culprit)


def to_plain(value: Any) -> Any:
    """Returns a copy of ``value`` that consists of dicts, lists, tuples, sets, numbers, texts and tensors only.

    ``torch.load(weights_only=True)`` can read such a copy. An object of a subclass becomes its base type (an
    OrderedDict becomes a dict), numpy numbers become Python numbers, numeric arrays become tensors, and arrays of texts
    become lists.

    Raises:
        NotPlainError: ``value`` contains an object of another type.
    """
    if type(value) in _ATOMS:
        return value
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.generic) and value.dtype.kind in "biufc":
        # `item` of a numpy longdouble returns a numpy number again, so numbers of more than 64 bits per part are first
        # converted to float or complex.
        if value.itemsize > 8 and value.dtype.kind == "c":
            value = value.astype(complex)
        elif value.itemsize > 8:
            value = value.astype(float)
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
    """Converts an array to a tensor.

    torch has neither foreign byte orders nor extended precision, so such an array is first converted to the machine's
    byte order and to 64-bit precision.
    """
    longest = {"f": np.dtype(np.float64), "c": np.dtype(np.complex128)}.get(array.dtype.kind, array.dtype)
    dtype = array.dtype.newbyteorder("=")
    if array.dtype.itemsize > longest.itemsize:
        dtype = longest
    return torch.from_numpy(np.array(array, dtype=dtype, order="C"))
