"""Combines the data elements of several samples to one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from eng.structures.base_data_element import BaseDataElement
from eng.structures.errors import FieldTypeError, FieldValueError

_E = TypeVar("_E", bound=BaseDataElement)


def stack(samples: Sequence[_E]) -> _E:
    """Stacks the data elements of several samples into one element, as needed for a batch.

    Tensors and arrays get a new first dimension for the samples, also in nested elements; the values of other fields
    become lists with one item per sample. Meta information that is equal in all samples is kept; if the samples differ
    in it, it becomes a list with one item per sample. The checks that a class makes for the fields of one sample are
    skipped for the result: the maps of a stacked `PixelData`, for example, have four dimensions.

    Args:
        samples: the elements to stack, at least one; all of the same class, with the same fields and tensors of the
            same shapes.

    Raises:
        FieldTypeError: the elements have different classes.
        FieldValueError: there is no sample, fields differ, or tensors have different shapes; the message names the
            field.

    Example:
        >>> import torch
        >>> from eng.structures import BaseDataElement
        >>> a = BaseDataElement(x=torch.zeros(3), metainfo=dict(id=1, size=3))
        >>> b = BaseDataElement(x=torch.ones(3), metainfo=dict(id=2, size=3))
        >>> both = stack([a, b])
        >>> both.x.shape, both.id, both.size
        (torch.Size([2, 3]), [1, 2], 3)
    """
    if not samples:
        raise FieldValueError("samples should hold at least one element, but is empty")
    first = samples[0]
    for position, sample in enumerate(samples):
        if type(sample) is not type(first):
            raise FieldTypeError(
                f"samples should be of one class, but samples[0] is {type(first).__name__} "
                f"and samples[{position}] is {type(sample).__name__}"
            )
    data = {name: _stacked(values, name) for name, values in _values_by_field(samples, "_data_fields").items()}
    batch = first._with_data(data)  # noqa: SLF001  # a method of the same package
    for name in list(batch.metainfo_keys()):
        delattr(batch, name)
    batch.set_metainfo(
        {name: _common(values) for name, values in _values_by_field(samples, "_metainfo_fields").items()}
    )
    return batch


def collate(samples: Sequence[Any]) -> Any:
    """Combines samples to a batch; to be passed to a DataLoader as ``collate_fn``.

    Data elements are stacked by `stack`; everything else is combined as torch's ``default_collate`` does.

    Args:
        samples: samples of a dataset: data elements, or dictionaries, tuples and lists that contain data elements.

    Example:
        >>> import torch
        >>> from eng.structures import BaseDataElement
        >>> batch = collate([(torch.zeros(2), BaseDataElement(label=i)) for i in range(3)])
        >>> batch[0].shape, batch[1].label
        (torch.Size([3, 2]), [0, 1, 2])
    """
    first = samples[0]
    if isinstance(first, BaseDataElement):
        return stack(samples)
    if isinstance(first, Mapping):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collate(list(column)) for column in zip(*samples, strict=True)))
    if isinstance(first, (tuple, list)):
        return type(first)(collate(list(column)) for column in zip(*samples, strict=True))
    return default_collate(list(samples))


def _values_by_field(samples: Sequence[BaseDataElement], attribute: str) -> dict[str, list[Any]]:
    """Returns, for each field, the list of its values in all samples.

    Args:
        samples: the elements; all must have the same fields.
        attribute: the attribute with the names of the fields: ``"_data_fields"`` or ``"_metainfo_fields"``.

    Raises:
        FieldValueError: an element has other fields than the first one.
    """
    names = list(getattr(samples[0], attribute))
    for position, sample in enumerate(samples):
        if set(getattr(sample, attribute)) != set(names):
            raise FieldValueError(
                f"samples should have the same fields, but samples[0] has {', '.join(names) or 'none'} "
                f"and samples[{position}] has {', '.join(getattr(sample, attribute)) or 'none'}"
            )
    return {name: [getattr(sample, name) for sample in samples] for name in names}


def _stacked(values: list[Any], name: str) -> Any:
    """Combines the values that a field has in all samples into one value.

    Tensors and arrays get a new first dimension, data elements are stacked field by field, and values of other classes
    are returned as a list.

    Raises:
        FieldValueError: tensors or arrays have different shapes; the message names the field.
    """
    first = values[0]
    try:
        if isinstance(first, Tensor):
            return torch.stack(values)
        if isinstance(first, np.ndarray):
            return np.stack(values)
    except (RuntimeError, TypeError, ValueError) as error:
        raise FieldValueError(f"field {name!r} cannot be stacked: {error}") from error
    if isinstance(first, BaseDataElement):
        return stack(values)
    return values


def _common(values: list[Any]) -> Any:
    """Returns the value if it is equal in all samples, otherwise the list of values."""
    first = values[0]
    if all(_is_same(first, value) for value in values[1:]):
        return first
    return values


def _is_same(left: Any, right: Any) -> bool:
    """Whether two values have the same type and are equal; tensors and arrays are equal if all their elements are."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Tensor):
        return torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return np.array_equal(left, right)
    return bool(left == right)
