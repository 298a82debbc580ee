"""The base of what a dataset, a model and a metric hand to one another."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from eng.structures import _values
from eng.structures._fields import FieldNames, dtype_name, is_dunder, is_property, public_name
from eng.structures._format import format_element
from eng.structures._pytree import register
from eng.structures.errors import FieldNameError, FieldTypeError, FieldValueError, MissingFieldError

if TYPE_CHECKING:
    from typing_extensions import Self

_RESERVED = frozenset({"_metainfo_fields", "_data_fields"})


class BaseDataElement:
    """Named data, such as boxes and masks, apart from information about them, such as the shape of their image.

    Both are attributes. Data changes by assignment, meta information by `set_metainfo` only; a name is never in both.
    Methods that end in nothing (`keys`, `items`, ...) speak of data, ``metainfo_*`` of meta information, ``all_*`` of
    both, in the order of insertion.

    Args:
        metainfo: meta information; it is copied.
        **kwargs: data.

    Raises:
        FieldNameError: a name is in both.

    Example:
        >>> import torch
        >>> sample = BaseDataElement(boxes=torch.zeros(2, 4), metainfo=dict(img_shape=(4, 6)))
        >>> sample.keys(), sample.metainfo_keys(), 'boxes' in sample
        (['boxes'], ['img_shape'], True)
        >>> sample.scores = torch.ones(2)
        >>> sample.to(torch.float16).scores.dtype
        torch.float16
    """

    _metainfo_fields: FieldNames
    _data_fields: FieldNames

    def __init__(self, *, metainfo: dict[str, Any] | None = None, **kwargs: Any) -> None:
        attributes = self.__dict__
        attributes["_metainfo_fields"], attributes["_data_fields"] = FieldNames(), FieldNames()
        if metainfo is not None:
            self.set_metainfo(metainfo)
        if kwargs:
            self.set_data(kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        register(cls)

    # ---- fields ---------------------------------------------------------------------------------------------------

    def set_metainfo(self, metainfo: dict[str, Any]) -> None:
        """Adds or overwrites meta information with copies of the given values.

        Raises:
            FieldTypeError: `metainfo` is no dictionary.
            FieldNameError: a name belongs to data.
        """
        if not isinstance(metainfo, dict):
            raise FieldTypeError(f"set_metainfo() takes a dict, got {type(metainfo).__name__}")
        for name, value in metainfo.items():
            self.set_field(_values.copied(value), name, field_type="metainfo")

    def set_data(self, data: dict[str, Any]) -> None:
        """Adds or overwrites data, as assignments would.

        Raises:
            FieldTypeError: `data` is no dictionary.
            FieldNameError: a name belongs to meta information.
        """
        if not isinstance(data, dict):
            raise FieldTypeError(f"set_data() takes a dict, got {type(data).__name__}")
        for name, value in data.items():
            setattr(self, name, value)

    def update(self, instance: BaseDataElement) -> None:
        """Adds or overwrites data and meta information with those of another element.

        Raises:
            FieldTypeError: `instance` is no data element.
            FieldNameError: a name is data in one and meta information in the other.
        """
        if not isinstance(instance, BaseDataElement):
            raise FieldTypeError(f"update() takes a BaseDataElement, got {type(instance).__name__}")
        self.set_metainfo(dict(type(instance).metainfo_items(instance)))
        self.set_data(dict(type(instance).items(instance)))

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: type | tuple[type, ...] | None = None,
        field_type: str = "data",
    ) -> None:
        """Sets one field and checks its type; for the property setters of sample classes (see also `Field`).

        Args:
            value: what to set.
            name: the field; with a leading underscore where a property of the plain name reads it.
            dtype: class or classes that `value` must have; None takes anything.
            field_type: ``'data'`` or ``'metainfo'``.

        Raises:
            FieldTypeError: `value` is of another type.
            FieldNameError: `name` is of the other kind already.
            FieldValueError: there is no such `field_type`.
        """
        if dtype is not None and not isinstance(value, dtype):
            shown = public_name(type(self), name)
            raise FieldTypeError(
                f"{reprlib.repr(value)} should be a {dtype} but got {type(value)} (field {shown!r} takes {dtype_name(dtype)})"
            )
        if field_type == "data":
            self._put(name, value)
        elif field_type == "metainfo":
            if name in self._data_fields:
                raise FieldNameError(f"{name!r} is data already, so it cannot be meta information too")
            self.__dict__[name] = value
            self._metainfo_fields.add(name)
        else:
            raise FieldValueError(f"field_type should be 'data' or 'metainfo' but got {field_type!r}")

    def _put(self, name: str, value: Any) -> None:
        attributes = self.__dict__
        if name in attributes["_metainfo_fields"]:
            raise FieldNameError(
                f"{name!r} is meta information already, so it cannot be data too; change it with set_metainfo"
            )
        attributes[name] = self._accepted(name, value)
        attributes["_data_fields"][name] = None

    def _accepted(self, name: str, value: Any) -> Any:
        """The value that a data field gets; subclasses check it here."""
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(type(self), name, None) is None and name not in _RESERVED and name[:2] != "__":
            self._put(name, value)
        else:
            self._set_known(name, value)

    def _set_known(self, name: str, value: Any) -> None:
        owner = type(self)
        if name in _RESERVED:
            raise FieldNameError(f"{name!r} holds the names of the fields and cannot be set or deleted")
        if is_dunder(name):  # Python's own: pickle reducers of libraries assign `__dict__`, typing `__orig_class__`
            object.__setattr__(self, name, value)
            if name == "__dict__":
                self._order_names()
        elif is_property(owner, name):
            object.__setattr__(self, name, value)
            if f"_{name}" not in self._data_fields and f"_{name}" not in self._metainfo_fields:
                self._data_fields.add(name)
        else:
            if callable(getattr(owner, name, None)):
                warnings.warn(
                    f"the field {name!r} hides the method {name}() of this {owner.__name__}", UserWarning, stacklevel=3
                )
            self.set_field(value, name)

    def _order_names(self) -> None:
        """Makes the names of the fields `FieldNames` again: pickles of the reference hold plain sets."""
        attributes = self.__dict__
        for name in _RESERVED:
            attributes[name] = FieldNames.fromkeys(attributes.get(name, ()))

    def __delattr__(self, name: str) -> None:
        if name in _RESERVED:
            raise FieldNameError(f"{name!r} holds the names of the fields and cannot be set or deleted")
        if is_dunder(name) or is_property(type(self), name):
            object.__delattr__(self, name)
        elif self.__dict__.pop(name, self) is self:
            raise MissingFieldError(name, type(self).__name__, type(self).all_keys(self))
        self._data_fields.discard(name)
        self._metainfo_fields.discard(name)

    if not TYPE_CHECKING:  # a checker that sees this takes every attribute for granted, and completes none

        def __getattr__(self, name):
            if name.startswith("__") or name in _RESERVED:  # asked by copy and pickle before there are fields
                raise AttributeError(name)
            raise MissingFieldError(name, type(self).__name__, type(self).all_keys(self))

    # ---- mapping --------------------------------------------------------------------------------------------------

    def keys(self) -> list[str]:
        """Names of data; a private field that a property wraps has the property's name."""
        owner = type(self)
        return [public_name(owner, name) for name in self._data_fields]

    def values(self) -> list[Any]:
        """Values of data."""
        return [getattr(self, name) for name in type(self).keys(self)]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of data."""
        for name in type(self).keys(self):
            yield name, getattr(self, name)

    def metainfo_keys(self) -> list[str]:
        """Names of meta information."""
        owner = type(self)
        return [public_name(owner, name) for name in self._metainfo_fields]

    def metainfo_values(self) -> list[Any]:
        """Values of meta information."""
        return [getattr(self, name) for name in type(self).metainfo_keys(self)]

    def metainfo_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of meta information."""
        for name in type(self).metainfo_keys(self):
            yield name, getattr(self, name)

    def all_keys(self) -> list[str]:
        """Names of meta information, then of data."""
        return type(self).metainfo_keys(self) + type(self).keys(self)

    def all_values(self) -> list[Any]:
        """Values of meta information, then of data."""
        return type(self).metainfo_values(self) + type(self).values(self)

    def all_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of meta information, then of data."""
        yield from type(self).metainfo_items(self)
        yield from type(self).items(self)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Meta information as a new dictionary."""
        return dict(type(self).metainfo_items(self))

    def get(self, key: str, default: Any = None) -> Any:
        """The attribute called `key`, as `getattr` does: a field, a property or a method; `default` where there is none."""
        return getattr(self, key, default)

    def pop(self, *args: Any) -> Any:
        """Removes a field and gives its value: ``pop(name)`` or ``pop(name, default)``.

        Raises:
            MissingFieldError: there is no such field, and no default was given.
            FieldTypeError: there is no or more than one default.
        """
        if not 1 <= len(args) <= 2:
            raise FieldTypeError(f"pop takes a name and a default, but got {len(args)} arguments")
        name = args[0]
        if name not in self:
            if len(args) == 2:
                return args[1]
            raise MissingFieldError(name, type(self).__name__, type(self).all_keys(self))
        value = getattr(self, name)
        delattr(self, name)
        return value

    def __contains__(self, item: object) -> bool:
        fields, infos = self._data_fields, self._metainfo_fields
        if item in fields or item in infos:
            return True
        private = f"_{item}"
        return (private in fields or private in infos) and is_property(type(self), str(item))

    # ---- copies ---------------------------------------------------------------------------------------------------

    def new(self, *, metainfo: dict[str, Any] | None = None, **kwargs: Any) -> Self:
        """A new element of the same class.

        Args:
            metainfo: its meta information; None takes a copy of this element's.
            **kwargs: its data; nothing takes this element's, which both then share.
        """
        element = type(self)()
        element.set_metainfo(self.metainfo if metainfo is None else metainfo)
        element.set_data(kwargs or dict(type(self).items(self)))
        return element

    def clone(self) -> Self:
        """A deep copy; gradients flow through it to the original, as with ``Tensor.clone``."""
        return self._with(_values.copied)

    def _takes_plainly(self, data: dict[str, Any]) -> bool:
        """Whether storing `data` needs nothing but its check: no property, no name that is taken."""
        owner = type(self)
        if owner.__setattr__ is not BaseDataElement.__setattr__ or not self.__dict__.keys().isdisjoint(data):
            return False
        for name in data:  # noqa: SIM110 # on the way of every construction, where a generator costs half as much again
            if getattr(owner, name, None) is not None:
                return False
        return True

    def _with(self, change: Callable[[Any], Any]) -> Self:
        """This element with every value of data changed, in a way that keeps the lengths and shapes."""
        attributes = self.__dict__
        element = self._with_data({name: change(attributes[name]) for name in self._data_fields if name in attributes})
        for name in (
            self._data_fields.keys() - attributes.keys()
        ):  # properties that keep their value in a place of their own
            setattr(element, name, change(getattr(self, name)))
        return element

    def _with_data(self, data: dict[str, Any]) -> Self:
        """An element of the same class with a copy of the meta information, and some of the fields with other values."""
        element = object.__new__(type(self))
        attributes, now = self.__dict__, element.__dict__
        fields, infos = attributes["_data_fields"], attributes["_metainfo_fields"]
        # Copying names is several times quicker than collecting them anew.
        if len(fields) == len(data):
            now["_data_fields"] = FieldNames(fields)
        else:
            now["_data_fields"] = FieldNames.fromkeys(data)
        if infos:
            now["_metainfo_fields"] = FieldNames(infos)
        else:
            now["_metainfo_fields"] = FieldNames()
        if infos:
            for name in infos:
                now[name] = _values.copied(attributes[name])
        now.update(data)
        return element

    def __copy__(self) -> Self:
        return self._with(_same)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._order_names()

    # ---- like a tensor --------------------------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """A new element with tensors converted; arguments as for ``Tensor.to``.

        This and the methods below change tensors, nested elements, and other objects that have the method; in lists,
        tuples and dictionaries too. Meta information and anything else stays as it is.
        """
        return self._with(lambda field: _values.mapped(field, lambda value: value.to(*args, **kwargs), "to"))

    def cpu(self) -> Self:
        """A new element with tensors on the CPU."""
        return self._called("cpu")

    def cuda(self) -> Self:
        """A new element with tensors on the current CUDA device."""
        return self._called("cuda")

    def npu(self) -> Self:
        """A new element with tensors on the current Ascend NPU."""
        return self._called("npu")

    def mlu(self) -> Self:
        """A new element with tensors on the current Cambricon MLU."""
        return self._called("mlu")

    def musa(self) -> Self:
        """A new element with tensors on the current Moore Threads GPU."""
        return self._called("musa")

    def detach(self) -> Self:
        """A new element with tensors that require no gradient."""
        return self._called("detach")

    def pin_memory(self) -> Self:
        """A new element with tensors in page-locked memory; a DataLoader calls it."""
        return self._called("pin_memory")

    def _called(self, method: str) -> Self:
        return self._with(lambda field: _values.mapped(field, lambda value: getattr(value, method)(), method))

    def numpy(self) -> Self:
        """A new element with numpy arrays instead of tensors."""
        return self._with(lambda field: _values.mapped(field, _to_numpy, None))

    def to_tensor(self) -> Self:
        """A new element with tensors instead of numpy arrays, sharing their memory."""
        return self._with(_to_tensor)

    def to_dict(self) -> dict[str, Any]:
        """Meta information and data in one new dictionary, nested elements as dictionaries."""
        return {
            name: value.to_dict() if isinstance(value, BaseDataElement) else value
            for name, value in type(self).all_items(self)
        }

    def __repr__(self) -> str:
        return format_element(type(self).__name__, id(self), type(self).metainfo_items(self), type(self).items(self))


register(BaseDataElement)


def _same(value: Any) -> Any:
    return value


def _to_numpy(value: Any) -> Any:
    if isinstance(value, BaseDataElement):
        return value.numpy()
    return _values.as_array(value)


def _to_tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, BaseDataElement):
        return value.to_tensor()
    return value
