"""`PixelData`, the data element for maps over the pixels of an image, such as segmentation masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from eng.structures.base_data_element import BaseDataElement
from eng.structures.errors import FieldTypeError, FieldValueError

if TYPE_CHECKING:
    from typing_extensions import Self


class PixelData(BaseDataElement):
    """A data element for maps with one value per pixel, such as segmentation masks.

    Each field is a tensor or an array (channels, height, width); all fields have the same height and width. A value
    with two dimensions (height, width) gets a channel dimension of size 1.

    Raises:
        FieldTypeError: a field is neither a tensor nor an array.
        FieldValueError: a field does not have two or three dimensions, or has another height or width than the others.

    Example:
        >>> import torch
        >>> maps = PixelData(image=torch.zeros(3, 20, 40), labels=torch.zeros(20, 40))
        >>> maps.shape, maps.labels.shape, maps[10:15, 3].shape
        ((20, 40), torch.Size([1, 20, 40]), (5, 1))
    """

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of the maps; None without a field."""
        for name in self._data_fields:
            height, width = self.__dict__[name].shape[-2:]
            return int(height), int(width)
        return None

    def _check_value(self, name: str, value: Any) -> Any:
        """Checks a map and returns the value to store: a map with two dimensions gets a channel dimension of size 1.

        Raises:
            FieldTypeError: the value is neither a tensor nor an array.
            FieldValueError: the value does not have two or three dimensions, or has another height or width than the
                existing maps.
        """
        if not isinstance(value, (Tensor, np.ndarray)):
            raise FieldTypeError(
                f"a map should be a tensor or numpy array, but got {type(value).__name__} (field {name!r})"
            )
        if value.ndim not in (2, 3):
            raise FieldValueError(f"The dim of value must be 2 or 3, but got {value.ndim} (field {name!r})")
        size, own_shape = tuple(value.shape[-2:]), self.shape
        if own_shape is not None and size != own_shape and list(self._data_fields) != [name]:
            raise FieldValueError(
                f"the height and width of values {size} is not consistent with the length of this "
                f":obj:`{type(self).__name__}` {own_shape} (field {name!r})"
            )
        if value.ndim == 2:
            return value[None]
        return value

    def __getitem__(self, item: Sequence[int | slice]) -> Self:
        """Returns a new element with the same rectangular part of each map.

        Args:
            item: the pixel rows and the pixel columns to keep, each given as a slice or as an integer; an integer keeps
                one row or column and does not remove the dimension.

        Raises:
            FieldTypeError: `item` is not a tuple of integers or slices.
            FieldValueError: `item` does not have two entries.
            IndexError: an integer is out of range.
        """
        if not isinstance(item, tuple):
            raise FieldTypeError(f"a part is given by rows and columns, but got {type(item).__name__}")
        if len(item) != 2:
            raise FieldValueError(f"a part is given by rows and columns, but got {len(item)} indices")
        shape = self.shape
        if shape is None:
            return self._with_data({})
        rows, columns = (_as_slice(index, size, axis) for index, size, axis in zip(item, shape, _AXES, strict=True))
        return self._with_data({name: self.__dict__[name][..., rows, columns] for name in self._data_fields})


_AXES = ("height", "width")


def _as_slice(item: Any, size: int, axis: str) -> slice:
    """Converts an index of an axis to a slice, so that an integer keeps the dimension with size 1.

    Args:
        item: an integer, which may be negative, or a slice.
        size: length of the axis.
        axis: name of the axis, for the error message.

    Raises:
        FieldTypeError: `item` is neither an integer nor a slice.
        IndexError: the integer is out of range.
    """
    if isinstance(item, slice):
        return item
    if isinstance(item, bool) or not isinstance(item, (int, np.integer)):
        raise FieldTypeError(f"rows and columns are given by numbers or slices, but got {type(item).__name__}")
    if not -size <= item < size:
        raise IndexError(f"index {item} is out of range for the {axis} {size}")
    number = int(item) % size
    return slice(number, number + 1)
