"""Names of fields in the order of their insertion, and fields that are declared with their type."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar, overload

_T = TypeVar("_T")


class TakesFields(Protocol):
    """A data element, as its fields see it."""

    def set_field(self, value: Any, name: str, dtype: type | tuple[type, ...] | None = None) -> None:
        """Sets one field and checks its type."""


class FieldNames(dict[str, None]):
    """A set that keeps the order of insertion.

    A dictionary without values, because libraries copy and test these names for every row they take, and nothing that
    Python itself offers is as quick and ordered.

    Example:
        >>> names = FieldNames.fromkeys(['b', 'a'])
        >>> names.add('c')
        >>> list(names)
        ['b', 'a', 'c']
    """

    def add(self, name: str) -> None:
        """Appends a name; one that is there keeps its place."""
        self[name] = None

    def discard(self, name: str) -> None:
        """Removes a name, if it is there."""
        self.pop(name, None)

    def remove(self, name: str) -> None:
        """Removes a name.

        Raises:
            KeyError: it is not there.
        """
        del self[name]


class Field(Generic[_T]):
    """A data field of a sample class, declared with its type.

    It does what a property with getter, setter and deleter around `set_field` does, in one line, and tells editors and
    type checkers the type.

    Args:
        dtype: class, or classes, that a value must have.

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
    def __get__(self, instance: TakesFields, owner: type) -> _T: ...

    def __get__(self, instance: TakesFields | None, owner: type) -> Field[_T] | _T:
        if instance is None:
            return self
        value: _T = getattr(instance, f"_{self.name}")
        return value

    def __set__(self, instance: TakesFields, value: _T) -> None:
        instance.set_field(value, f"_{self.name}", dtype=self.dtype)

    def __delete__(self, instance: TakesFields) -> None:
        delattr(instance, f"_{self.name}")


def is_property(owner: type, name: str) -> bool:
    """Whether instances of `owner` reach `name` through a property or a `Field`."""
    return isinstance(getattr(owner, name, None), (property, Field))


def is_dunder(name: str) -> bool:
    """Whether a name belongs to Python itself, as ``__dict__`` does."""
    return name.startswith("__") and name.endswith("__")


def public_name(owner: type, name: str) -> str:
    """The name under which users know a field: ``_boxes`` is ``boxes`` where a property of that name wraps it."""
    if name[0] == "_" and is_property(owner, name[1:]):
        return name[1:]
    return name


def dtype_name(dtype: Any) -> str:
    """A class, or several, as an error message shows it."""
    if isinstance(dtype, tuple):
        return " or ".join(dtype_name(item) for item in dtype)
    return str(dtype.__name__)
