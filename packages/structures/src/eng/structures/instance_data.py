"""`InstanceData`, which stores one row per object of an image: boxes, labels, scores and so on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from torch import Tensor, cat

from eng.structures import _rows
from eng.structures._fields import FieldNames
from eng.structures._values import copy_value
from eng.structures.base_data_element import BaseDataElement
from eng.structures.errors import FieldTypeError, FieldValueError, LengthError

if TYPE_CHECKING:
    from typing_extensions import Self

IndexType = slice | int | list[int] | list[bool] | Tensor | np.ndarray[Any, Any] | np.integer[Any]
_I = TypeVar("_I", bound="InstanceData")


class InstanceData(BaseDataElement):
    """A data element for the objects (instances) in an image: all fields have the same length, one row per object.

    The first field determines the length; if its length is 0, the next field may have any length. Fields may be
    tensors, numpy arrays, strings, lists, tuples, other `InstanceData`, and objects of any class with ``__len__``,
    ``__getitem__`` (which must keep the first dimension) and ``cat``. ``data[index]`` returns a new element with the
    selected rows; ``data['name']`` reads or sets a field.

    Raises:
        LengthError: a field has another length than the existing fields.
        FieldTypeError: a field has no length.

    Example:
        >>> import torch
        >>> found = InstanceData(boxes=torch.zeros(3, 4), scores=torch.tensor([.9, .2, .7]), names=['a', 'b', 'c'])
        >>> len(found), found[found.scores > .5].names
        (3, ['a', 'c'])
        >>> len(InstanceData.cat([found, found[:1]]))
        4
    """

    def _check_value(self, name: str, value: Any) -> Any:
        """Returns the value of a data field unchanged after checking that its length is that of the existing fields.

        Raises:
            FieldTypeError: the value has no length.
            LengthError: the value has another length.
        """
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
            # If the first field has length 0, a field of any length is accepted: MMEngine does so, and libraries rely
            # on this behaviour.
            if expected and length != expected and (len(fields) > 1 or name not in fields):
                raise LengthError(name, length, expected, type(self).__name__)
        return value

    def set_data(self, data: dict[str, Any]) -> None:
        """Stores the values of a dictionary in data fields, as assignments do; all fields must have the same length.

        Raises:
            LengthError: the fields have different lengths.
        """
        # In the usual case, a new element without properties, all lengths can be compared at once, which is faster.
        if type(data) is dict and not self._data_fields and self._can_store_directly(data):
            try:
                lengths = {len(value) for value in data.values()}
            except TypeError:
                lengths = {-1, -2}  # Two lengths, so that the value without a length is rejected by `super` below.
            if len(lengths) < 2:
                self.__dict__.update(data)
                self._data_fields.update(dict.fromkeys(data))
                return
        super().set_data(data)  # `super` sets the fields one after another, so that a LengthError can name the field.

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
        """Returns the value of a field, or a new element with the selected rows of all fields.

        Args:
            item: name of a field; or which rows to select: an integer (the result has one row), a slice, or an (n,)
                list, tensor or array of integers or booleans.

        Raises:
            MissingFieldError: no field has this name.
            IndexError: a row number is out of range.
            FieldValueError: the index has more than one dimension, or the number of booleans differs from that of
                rows.
            FieldTypeError: `item` has another type.
        """
        if type(item) is str:
            return getattr(self, item)
        attributes, fields = self.__dict__, self._data_fields
        if type(item) is slice:
            return self._with_data({name: attributes[name][item] for name in fields})
        if not fields and item.__class__ is not int:
            return self._with_data({})
        select = _rows.make_row_selector(item, len(self))
        return self._with_data({name: select(attributes[name], name) for name in fields})

    @staticmethod
    def cat(instances_list: Sequence[_I]) -> _I:
        """Concatenates the rows of several elements; the meta information is that of the first element.

        Args:
            instances_list: at least one element; all with the same fields.

        Raises:
            FieldValueError: the list is empty, fields differ, or values of a field cannot be concatenated.
            FieldTypeError: an item is not an `InstanceData`.

        Example:
            >>> InstanceData.cat([InstanceData(names=['a']), InstanceData(names=['b', 'c'])]).names
            ['a', 'b', 'c']
        """
        # Plain loops instead of helper functions: `cat` runs often, and function calls would take most of its time.
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
        # The fields are written without the checks of `__setattr__`: the names are those of existing elements, and
        # the concatenated fields all have the same length.
        new_attributes, infos = joined.__dict__, attributes["_metainfo_fields"]
        new_attributes["_data_fields"] = FieldNames(attributes["_data_fields"])
        if infos:
            new_attributes["_metainfo_fields"] = FieldNames(infos)
        else:
            new_attributes["_metainfo_fields"] = FieldNames()
        for name in infos:
            new_attributes[name] = copy_value(attributes[name])
        for name in names:
            column = []
            for attributes in attributes_of_all:
                column.append(attributes[name])  # noqa: PERF401  # before Python 3.12 a comprehension costs a function call
            if type(column[0]) is not Tensor:
                new_attributes[name] = _rows.join_rows(column, name)
                continue
            try:
                new_attributes[name] = cat(column)
            except (RuntimeError, TypeError):
                # `join_rows` fails for the same reason and raises an error that names the field.
                new_attributes[name] = _rows.join_rows(column, name)
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
