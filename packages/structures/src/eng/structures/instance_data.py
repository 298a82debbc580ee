"""Rows of several fields: the boxes, labels and scores of an image's objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from torch import Tensor, cat

from eng.structures import _rows
from eng.structures._fields import FieldNames
from eng.structures._values import copied
from eng.structures.base_data_element import BaseDataElement
from eng.structures.errors import FieldTypeError, FieldValueError, LengthError

if TYPE_CHECKING:
    from typing_extensions import Self

IndexType = slice | int | list[int] | list[bool] | Tensor | np.ndarray[Any, Any] | np.integer[Any]
_I = TypeVar("_I", bound="InstanceData")


class InstanceData(BaseDataElement):
    """A data element whose fields have the same length, one row per object.

    The first field sets the length; after a first field without rows, a field of any length is taken.

    Fields may be tensors, numpy arrays, strings, lists, tuples, other `InstanceData`, and objects of any class with
    ``__len__``, ``__getitem__`` (which keeps the dimension) and ``cat``. Rows are taken with ``[]``; fields are read
    and set with ``[]`` too.

    Raises:
        LengthError: a field is longer or shorter than the others.
        FieldTypeError: a field has no length.

    Example:
        >>> import torch
        >>> found = InstanceData(boxes=torch.zeros(3, 4), scores=torch.tensor([.9, .2, .7]), names=['a', 'b', 'c'])
        >>> len(found), found[found.scores > .5].names
        (3, ['a', 'c'])
        >>> len(InstanceData.cat([found, found[:1]]))
        4
    """

    def _accepted(self, name: str, value: Any) -> Any:
        try:
            length = len(value)
        except TypeError:
            raise FieldTypeError(f"field {name!r}: value must have a length, but got {_class_name(value)}") from None
        fields = self._data_fields
        if fields:
            attributes = self.__dict__
            for first in fields:
                expected = len(attributes[first])
                break
            # After a first field without rows, the reference takes fields of any length; libraries fill elements so.
            if expected and length != expected and (len(fields) > 1 or name not in fields):
                raise LengthError(name, length, expected, type(self).__name__)
        return value

    def set_data(self, data: dict[str, Any]) -> None:
        """As in `BaseDataElement`; all fields must have the same length.

        Raises:
            LengthError: they have not.
        """
        # A new element with plain fields, which is nearly every element: all lengths are compared at once.
        if type(data) is dict and not self._data_fields and self._takes_plainly(data):
            try:
                lengths = {len(value) for value in data.values()}
            except TypeError:
                lengths = {-1, -2}
            if len(lengths) < 2:
                self.__dict__.update(data)
                self._data_fields.update(dict.fromkeys(data))
                return
        super().set_data(data)  # says what is wrong, by name

    def __len__(self) -> int:
        for name in self._data_fields:
            return len(self.__dict__[name])
        return 0

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    @overload
    def __getitem__(self, item: str) -> Any: ...

    @overload
    def __getitem__(self, item: IndexType) -> Self: ...

    def __getitem__(self, item: str | IndexType) -> Any:
        """A field by its name, or rows by their numbers.

        Args:
            item: name; number (the row is kept as a dimension), slice; list, tensor or array of numbers or of truth
                values, (n,).

        Raises:
            MissingFieldError: no field has this name.
            IndexError: a number is outside the rows.
            FieldValueError: the index has more than one dimension, or truth values are not one per row.
            FieldTypeError: `item` is none of these.
        """
        if type(item) is str:
            return getattr(self, item)
        attributes, fields = self.__dict__, self._data_fields
        if type(item) is slice:
            return self._with_data({name: attributes[name][item] for name in fields})
        if not fields and item.__class__ is not int:
            return self._with_data({})
        take = _rows.row_taker(item, len(self))
        return self._with_data({name: take(attributes[name], name) for name in fields})

    @staticmethod
    def cat(instances_list: Sequence[_I]) -> _I:
        """All rows, in order, in one element; its meta information is that of the first.

        Args:
            instances_list: elements with the same fields, at least one.

        Raises:
            FieldValueError: the list is empty, fields differ, or values of a field cannot be joined.
            FieldTypeError: an item is no `InstanceData`.

        Example:
            >>> InstanceData.cat([InstanceData(names=['a']), InstanceData(names=['b', 'c'])]).names
            ['a', 'b', 'c']
        """
        # Plain loops in one function: here calls and comprehensions cost more than what they do.
        names: Iterable[str] = ()
        attributes_of_all: list[dict[str, Any]] = []
        for instance in instances_list:
            if type(instance) is not InstanceData and not isinstance(instance, InstanceData):
                raise FieldTypeError(
                    f"instances_list[{len(attributes_of_all)}] should be an InstanceData but got {_class_name(instance)}"
                )
            attributes = instance.__dict__
            if attributes["_data_fields"] != names:
                if attributes_of_all:
                    raise _different_fields(instances_list[0], instance, len(attributes_of_all))
                names = attributes["_data_fields"]
            attributes_of_all.append(attributes)
        if len(attributes_of_all) < 2:
            return _only(instances_list)
        attributes = attributes_of_all[0]
        joined = object.__new__(type(instances_list[0]))
        # Nothing is checked again: the names were accepted before, and sums of equal lengths are equal.
        now, infos = joined.__dict__, attributes["_metainfo_fields"]
        now["_data_fields"] = FieldNames(attributes["_data_fields"])
        if infos:
            now["_metainfo_fields"] = FieldNames(infos)
        else:
            now["_metainfo_fields"] = FieldNames()
        for name in infos:
            now[name] = copied(attributes[name])
        for name in names:
            column = []
            for attributes in attributes_of_all:
                column.append(attributes[name])  # noqa: PERF401 # see above
            if type(column[0]) is not Tensor:
                now[name] = _rows.joined(column, name)
                continue
            try:
                now[name] = cat(column)
            except (RuntimeError, TypeError):
                now[name] = _rows.joined(column, name)  # says which field it is
        return joined


def _only(instances_list: Sequence[_I]) -> _I:
    if not instances_list:
        raise FieldValueError("instances_list should hold at least one InstanceData, but is empty")
    return instances_list[0]


def _class_name(value: Any) -> str:
    if isinstance(value, (Tensor, np.ndarray)):
        return f"{type(value).__name__} without dimensions"
    return type(value).__name__


def _different_fields(first: InstanceData, second: InstanceData, position: int) -> FieldValueError:
    return FieldValueError(
        f"all items should have the same fields, but item 0 has {', '.join(first.keys()) or 'none'}, "
        f"but item {position} has {', '.join(second.keys()) or 'none'}"
    )
