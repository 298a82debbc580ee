"""Selects rows of the fields of an `InstanceData`, and concatenates the rows of several elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eng.structures._values import SupportsCat
from eng.structures.errors import FieldTypeError, FieldValueError

RowSelector = Callable[[Any, str], Any]

_NUMBERS = frozenset({torch.int64, torch.int32, torch.int16, torch.int8})
_ALLOWED = "a name, a number, a slice, or a list, tensor or array of numbers or truth values"


def make_row_selector(item: Any, length: int) -> RowSelector:
    """Returns a function that selects rows of a field; it is called with the value and the name of each field.

    Args:
        item: which rows to select: an integer, or a list, tensor or array of integers or booleans.
        length: number of rows that all fields have.

    Raises:
        IndexError: a row number is out of range.
        FieldValueError: the index has more than one dimension, or the number of booleans differs from that of rows.
        FieldTypeError: `item` has another type.
    """
    if isinstance(item, Tensor):
        return _by_tensor(item, length)
    if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
        # A slice of length 1 keeps the first dimension of the field, an integer would remove it.
        return _by_slice(_slice_of(int(item), length))
    if isinstance(item, (list, np.ndarray)):
        return _by_tensor(_as_tensor(item), length)
    raise FieldTypeError(f"rows are taken by {_ALLOWED}, but got {type(item).__name__}")


def join_rows(values: list[Any], name: str) -> Any:
    """Concatenates the values that the field `name` has in several elements.

    Tensors, arrays, strings, lists and tuples are concatenated directly, objects of any other class by its method
    ``cat``.

    Raises:
        FieldValueError: the values have different classes or incompatible shapes, or they belong to another class that
            has no method ``cat``.
    """
    first = values[0]
    try:
        if isinstance(first, Tensor):
            return torch.cat(values)
        _check_same_class(values, name)
        if isinstance(first, np.ndarray):
            return np.concatenate(values)
    except (RuntimeError, TypeError, ValueError) as error:
        _check_same_class(values, name)
        raise FieldValueError(f"field {name!r}: {error}") from error
    if isinstance(first, str):
        return "".join(values)
    if isinstance(first, (list, tuple)):
        return type(first)(row for value in values for row in value)
    if not isinstance(first, SupportsCat):
        raise FieldValueError(f"field {name!r}: {type(first).__name__} cannot be joined, as it has no method cat")
    return first.cat(values)


def _check_same_class(values: list[Any], name: str) -> None:
    """Raises FieldValueError if the values of a field have different classes; subclasses of Tensor may be mixed."""
    classes = {type(value) for value in values}
    if len(classes) > 1 and not all(isinstance(value, Tensor) for value in values):
        raise FieldValueError(
            f"field {name!r}: {' and '.join(sorted(cls.__name__ for cls in classes))} cannot be joined"
        )


def _slice_of(number: int, length: int) -> slice:
    if not -length <= number < length:
        raise IndexError(f"row {number} is outside the {length} rows")
    number %= length
    return slice(number, number + 1)


def _as_tensor(item: list[Any] | np.ndarray[Any, Any]) -> Tensor:
    """Converts a list or array of row numbers or booleans to a tensor; an empty list becomes a tensor of integers.

    Raises:
        FieldTypeError: the items are not numbers or booleans.
    """
    if len(item) == 0 and np.ndim(item) == 1:
        return torch.empty(0, dtype=torch.int64)
    try:
        return torch.as_tensor(item)
    except (TypeError, ValueError, RuntimeError) as error:
        raise FieldTypeError(f"rows are taken by {_ALLOWED}, but got {item!r:.80}") from error


def _by_slice(rows: slice) -> RowSelector:
    def take(value: Any, name: str) -> Any:
        return value[rows]

    return take


def _by_tensor(item: Tensor, length: int) -> RowSelector:
    """Returns a function that selects rows by a tensor of row numbers or booleans.

    Args:
        item: (n,) tensor of row numbers, which may be negative; or (length,) tensor of booleans.
        length: number of rows that all fields have.

    Raises:
        FieldValueError: the tensor does not have one dimension, or the number of booleans is not the number of rows.
        FieldTypeError: the tensor contains neither integers nor booleans.
        IndexError: a row number is out of range.
    """
    if item.dim() != 1:
        raise FieldValueError(
            f"rows are taken along the first dimension: the index should be of shape (n,), but got {tuple(item.shape)}"
        )
    if item.dtype is torch.bool:
        if item.shape[0] != length:
            raise FieldValueError(f"there should be one truth value per row, but got {item.shape[0]} for {length} rows")
        item = item.nonzero().view(-1)  # Convert booleans to row numbers once here instead of once for every field.
    elif item.dtype not in _NUMBERS:
        raise FieldTypeError(f"rows are taken by {_ALLOWED}, but got a tensor of {item.dtype}")
    elif item.numel():
        item = _in_range(item.long(), length)
    return _RowsByNumber(item)


def _in_range(item: Tensor, length: int) -> Tensor:
    """Replaces negative row numbers, which count from the end, by the numbers from 0 on, and returns the result.

    Raises:
        IndexError: a row number is out of range.
    """
    low, high = (int(bound) for bound in item.aminmax())
    if low < -length or high >= length:
        raise IndexError(f"row {low if low < -length else high} is outside the {length} rows")
    if low < 0:
        return torch.where(item < 0, item + length, item)
    return item


class _RowsByNumber:
    """Function object that selects the rows with the given numbers from the value of a field.

    Fields may be tensors on different devices, arrays or lists. The row numbers are moved to each device, and converted
    to an array or a list, at most once.

    Args:
        numbers: (n,) int64 tensor of row numbers, not negative.
    """

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers
        self._list: list[int] | None = None
        self._array: np.ndarray[Any, Any] | None = None
        self._moved: dict[torch.device, Tensor] = {numbers.device: numbers}

    def __call__(self, value: Any, name: str) -> Any:
        """Returns the selected rows of the value of a field.

        Args:
            value: a tensor, array, string, list or tuple; or an object with the methods of `SupportsCat`, whose rows
                are taken as slices of length 1 and concatenated.
            name: name of the field, for the error message.

        Raises:
            FieldValueError: the class of the value has no method ``cat``.
        """
        if type(value) is Tensor:
            return value.index_select(0, self.on(value.device))
        if isinstance(value, Tensor):  # A subclass of Tensor may define how it is indexed; index_select bypasses that.
            return value[self.on(value.device)]
        if isinstance(value, np.ndarray):
            return value[self.array]
        if isinstance(value, str):
            return "".join([value[number] for number in self.list])
        if isinstance(value, (list, tuple)):
            return type(value)(value[number] for number in self.list)
        if not isinstance(value, SupportsCat):
            raise FieldValueError(
                f"field {name!r}: rows of {type(value).__name__} cannot be joined, as it has no method cat"
            )
        return self._from_custom(value)

    def _from_custom(self, value: Any) -> Any:
        """Returns the selected rows of a data element, or of an object with the methods of `SupportsCat`."""
        if hasattr(value, "metainfo_items"):
            return value[self.numbers]
        numbers = self.list
        if not numbers:
            return value[:0]
        return value.cat([value[number : number + 1] for number in numbers])

    def on(self, device: torch.device) -> Tensor:
        moved = self._moved.get(device)
        if moved is None:
            moved = self._moved[device] = self.numbers.to(device)
        return moved

    @property
    def list(self) -> list[int]:
        if self._list is None:
            self._list = self.numbers.tolist()
        return self._list

    @property
    def array(self) -> np.ndarray[Any, Any]:
        if self._array is None:
            self._array = self.numbers.cpu().numpy()
        return self._array
