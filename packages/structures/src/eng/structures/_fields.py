"""Helpers for the fields of data elements: ordered sets of names, and `Field`, which declares a field with its type."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar, overload

_T = TypeVar("_T")


class HasFields(Protocol):
    """Interface of a data element, as far as `Field` uses it."""

    def set_field(self, value: Any, name: str, dtype: type | tuple[type, ...] | None = None) -> None:
        """Checks that a value is an instance of `dtype` and stores the value in the field `name`."""


class FieldNames(dict[str, None]):
    """The names of the fields of a data element: a set that keeps the order of insertion.

    The class is a dictionary whose values are None, because no other ordered container of Python is copied as fast, and
    every operation that creates a new element, such as indexing, copies the names.

    Example:
        >>> names = FieldNames.fromkeys(['b', 'a'])
        >>> names.add('c')
        >>> list(names)
        ['b', 'a', 'c']
    """

    def add(self, name: str) -> None:
        """Appends a name; a name that is already in the set keeps its position."""
        self[name] = None

    def discard(self, name: str) -> None:
        """Removes a name if it is in the set."""
        self.pop(name, None)

    def remove(self, name: str) -> None:
        """Removes a name.

        Raises:
            KeyError: the name is not in the set.
        """
        del self[name]


class Field(Generic[_T]):
    """Declares a data field with its type in a subclass of `BaseDataElement`.

    A `Field` does what a property whose setter calls `set_field` would do: it raises an error if a value of another
    type is assigned. Editors and type checkers also know the type of the field.

    Args:
        dtype: class or classes of the allowed values.

    Example:
        >>> from eng.structures import BaseDataElement, InstanceData
        >>> class DetSample(BaseDataElement):
        ...     gt_instances = Field(InstanceData)
        >>> sample = DetSample(gt_instances=InstanceData(labels=[1, 2]))
        >>> len(sample.gt_instances)
        2
        >>> sample.gt_instances = [1, 2]
        Traceback (most recent call last):
        eng.structures.errors.FieldTypeError: [1, 2] should be a <class 'eng.structures.instance_data.InstanceData'> but got <class 'list'> (field 'gt_instances' takes InstanceData)
    """

    def __init__(self, dtype: type[_T] | tuple[type[_T], ...]) -> None:
        self.dtype = dtype
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Field[_T]: ...

    @overload
    def __get__(self, instance: HasFields, owner: type) -> _T: ...

    def __get__(self, instance: HasFields | None, owner: type) -> Field[_T] | _T:
        if instance is None:
            return self
        value: _T = getattr(instance, f"_{self.name}")
        return value

    def __set__(self, instance: HasFields, value: _T) -> None:
        instance.set_field(value, f"_{self.name}", dtype=self.dtype)

    def __delete__(self, instance: HasFields) -> None:
        delattr(instance, f"_{self.name}")


def is_property(owner: type, name: str) -> bool:
    """Whether the class `owner` defines `name` as a property or a `Field`."""
    return isinstance(getattr(owner, name, None), (property, Field))


def is_dunder(name: str) -> bool:
    """Whether a name starts and ends with two underscores, such as ``__dict__``."""
    return name.startswith("__") and name.endswith("__")


def public_name(owner: type, name: str) -> str:
    """Returns the name by which users read a field: ``boxes`` for ``_boxes`` if `owner` has a property ``boxes``.

    Otherwise the name is returned unchanged.
    """
    if name[0] == "_" and is_property(owner, name[1:]):
        return name[1:]
    return name


def dtype_name(dtype: Any) -> str:
    """Formats a class, or several classes joined by "or", for error messages."""
    if isinstance(dtype, tuple):
        return " or ".join(dtype_name(item) for item in dtype)
    return str(dtype.__name__)
