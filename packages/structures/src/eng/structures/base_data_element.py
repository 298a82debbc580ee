"""`BaseDataElement`, the base class of all data elements."""

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
    """Container for the annotations or predictions of a sample.

    An element has data fields, such as boxes and masks, and meta information, such as the shape of the image. Both are
    attributes of the object. Data fields are set by assignment, meta information only by `set_metainfo`; a name cannot
    be used for both. The methods `keys`, `values` and `items` return data fields, `metainfo_keys` and so on meta
    information, and `all_keys` and so on both, in the order of insertion.

    Args:
        metainfo: meta information; the values are copied.
        **kwargs: data fields.

    Raises:
        FieldNameError: a name is used for data and meta information.

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

    def set_metainfo(self, metainfo: dict[str, Any]) -> None:
        """Stores copies of the given values as meta information; meta information with other names is kept.

        Raises:
            FieldTypeError: `metainfo` is not a dictionary.
            FieldNameError: a name is already used for data.
        """
        if not isinstance(metainfo, dict):
            raise FieldTypeError(f"set_metainfo() takes a dict, got {type(metainfo).__name__}")
        for name, value in metainfo.items():
            self.set_field(_values.copy_value(value), name, field_type="metainfo")

    def set_data(self, data: dict[str, Any]) -> None:
        """Stores the values of a dictionary in data fields, as assignments do; fields with other names are kept.

        Raises:
            FieldTypeError: `data` is not a dictionary.
            FieldNameError: a name is already used for meta information.
        """
        if not isinstance(data, dict):
            raise FieldTypeError(f"set_data() takes a dict, got {type(data).__name__}")
        for name, value in data.items():
            setattr(self, name, value)

    def update(self, instance: BaseDataElement) -> None:
        """Copies all data fields and meta information of another element into this element.

        Fields and meta information that only this element has are kept.

        Raises:
            FieldTypeError: `instance` is not a data element.
            FieldNameError: a name is used for data in one element and for meta information in the other.
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
        """Checks the type of a value and stores the value in a field.

        Subclasses call this method in property setters; `Field` declares such a property in one line.

        Args:
            value: the new value.
            name: name of the field; with a leading underscore if a property without the underscore returns the value.
            dtype: class or classes of allowed values; None allows any value.
            field_type: ``'data'`` or ``'metainfo'``.

        Raises:
            FieldTypeError: `value` has another type.
            FieldNameError: the name is already used for the other field type.
            FieldValueError: `field_type` has another value.
        """
        if dtype is not None and not isinstance(value, dtype):
            shown = public_name(type(self), name)
            raise FieldTypeError(
                f"{reprlib.repr(value)} should be a {dtype} but got {type(value)} (field {shown!r} takes {dtype_name(dtype)})"
            )
        if field_type == "data":
            self._store_data(name, value)
        elif field_type == "metainfo":
            if name in self._data_fields:
                raise FieldNameError(f"{name!r} is data already, so it cannot be meta information too")
            self.__dict__[name] = value
            self._metainfo_fields.add(name)
        else:
            raise FieldValueError(f"field_type should be 'data' or 'metainfo' but got {field_type!r}")

    def _store_data(self, name: str, value: Any) -> None:
        """Stores a value in the data field `name`, after the check of the class (`_check_value`).

        Raises:
            FieldNameError: the name is already used for meta information.
        """
        attributes = self.__dict__
        if name in attributes["_metainfo_fields"]:
            raise FieldNameError(
                f"{name!r} is meta information already, so it cannot be data too; change it with set_metainfo"
            )
        attributes[name] = self._check_value(name, value)
        attributes["_data_fields"][name] = None

    def _check_value(self, name: str, value: Any) -> Any:
        """Returns the value to store in a data field; subclasses override it to check or convert the value."""
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(type(self), name, None) is None and name not in _RESERVED and name[:2] != "__":
            self._store_data(name, value)
        else:
            self._set_special(name, value)

    def _set_special(self, name: str, value: Any) -> None:
        """Sets an attribute that the class itself defines: a dunder name, a property, a method or a class attribute.

        A property is set by its setter, and its name is recorded as a data field. A field with the name of a method
        hides the method, with a warning.

        Raises:
            FieldNameError: the name is reserved for the sets of field names.
        """
        owner = type(self)
        if name in _RESERVED:
            raise FieldNameError(f"{name!r} holds the names of the fields and cannot be set or deleted")
        # Names such as `__dict__` are no fields, so they are set as on any other object: some libraries restore pickles
        # by assigning `__dict__`, and the module typing sets `__orig_class__`.
        if is_dunder(name):
            object.__setattr__(self, name, value)
            if name == "__dict__":
                self._restore_name_order()
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

    def _restore_name_order(self) -> None:
        """Converts the sets of field names to `FieldNames`, which keep the order of insertion.

        Pickles written by MMEngine contain plain sets.
        """
        attributes = self.__dict__
        for name in _RESERVED:
            attributes[name] = FieldNames.fromkeys(attributes.get(name, ()))

    def __delattr__(self, name: str) -> None:
        """Deletes a data field or meta information; a property is deleted by its deleter.

        Raises:
            FieldNameError: the name is reserved for the sets of field names.
            MissingFieldError: there is no such field.
        """
        if name in _RESERVED:
            raise FieldNameError(f"{name!r} holds the names of the fields and cannot be set or deleted")
        if is_dunder(name) or is_property(type(self), name):
            object.__delattr__(self, name)
        elif self.__dict__.pop(name, self) is self:
            raise MissingFieldError(name, type(self).__name__, type(self).all_keys(self))
        self._data_fields.discard(name)
        self._metainfo_fields.discard(name)

    # `__getattr__` is hidden from type checkers, which would otherwise accept every attribute and complete no name.
    if not TYPE_CHECKING:

        def __getattr__(self, name):
            # copy and pickle look up such names in a new object before its sets of field names exist, so that an error
            # message that lists the fields cannot be created.
            if name.startswith("__") or name in _RESERVED:
                raise AttributeError(name)
            raise MissingFieldError(name, type(self).__name__, type(self).all_keys(self))

    def keys(self) -> list[str]:
        """Returns the names of the data fields; a field ``_boxes`` with a property ``boxes`` is called ``boxes``."""
        owner = type(self)
        return [public_name(owner, name) for name in self._data_fields]

    def values(self) -> list[Any]:
        """Returns the values of the data fields."""
        return [getattr(self, name) for name in type(self).keys(self)]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yields the names and values of the data fields."""
        for name in type(self).keys(self):
            yield name, getattr(self, name)

    def metainfo_keys(self) -> list[str]:
        """Returns the names of the meta information."""
        owner = type(self)
        return [public_name(owner, name) for name in self._metainfo_fields]

    def metainfo_values(self) -> list[Any]:
        """Returns the values of the meta information."""
        return [getattr(self, name) for name in type(self).metainfo_keys(self)]

    def metainfo_items(self) -> Iterator[tuple[str, Any]]:
        """Yields the names and values of the meta information."""
        for name in type(self).metainfo_keys(self):
            yield name, getattr(self, name)

    def all_keys(self) -> list[str]:
        """Returns the names of the meta information, followed by those of the data fields."""
        return type(self).metainfo_keys(self) + type(self).keys(self)

    def all_values(self) -> list[Any]:
        """Returns the values of the meta information, followed by those of the data fields."""
        return type(self).metainfo_values(self) + type(self).values(self)

    def all_items(self) -> Iterator[tuple[str, Any]]:
        """Yields the names and values of the meta information, followed by those of the data fields."""
        yield from type(self).metainfo_items(self)
        yield from type(self).items(self)

    @property
    def metainfo(self) -> dict[str, Any]:
        """The meta information as a new dictionary."""
        return dict(type(self).metainfo_items(self))

    def get(self, key: str, default: Any = None) -> Any:
        """Returns the attribute `key` (a field, property or method), or `default` if there is none."""
        return getattr(self, key, default)

    def pop(self, *args: Any) -> Any:
        """Removes a field and returns its value: ``pop(name)`` or ``pop(name, default)``.

        Raises:
            MissingFieldError: there is no such field, and no default was passed.
            FieldTypeError: no argument or more than two arguments were passed.
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

    def new(self, *, metainfo: dict[str, Any] | None = None, **kwargs: Any) -> Self:
        """Creates an element of the same class, with meta information and data of this element unless they are passed.

        Args:
            metainfo: meta information of the new element; None copies the meta information of this element.
            **kwargs: data fields of the new element; without any, the new element shares the values of this element's
                data fields.
        """
        element = type(self)()
        element.set_metainfo(self.metainfo if metainfo is None else metainfo)
        element.set_data(kwargs or dict(type(self).items(self)))
        return element

    def clone(self) -> Self:
        """Returns a deep copy of the element; tensors are cloned, so that gradients flow back to the original ones."""
        return self._with(_values.copy_value)

    def _can_store_directly(self, data: dict[str, Any]) -> bool:
        """Whether the items of `data` can be written into ``__dict__`` directly, which is faster than `__setattr__`.

        This is the case if the class does not override `__setattr__` and no name is a property, a method or an
        attribute that exists already.
        """
        owner = type(self)
        if owner.__setattr__ is not BaseDataElement.__setattr__ or not self.__dict__.keys().isdisjoint(data):
            return False
        for name in data:  # noqa: SIM110  # a loop, because `any` takes 1.5 times as long and each new element runs this code
            if getattr(owner, name, None) is not None:
                return False
        return True

    def _with(self, change: Callable[[Any], Any]) -> Self:
        """Returns a copy of the element in which `change` has replaced the value of every data field.

        `change` must keep lengths and shapes, because they are not checked again.
        """
        attributes = self.__dict__
        element = self._with_data({name: change(attributes[name]) for name in self._data_fields if name in attributes})
        # Fields that are not in `attributes` are properties of a subclass that store their value elsewhere. They are
        # set by the property.
        for name in self._data_fields.keys() - attributes.keys():
            setattr(element, name, change(getattr(self, name)))
        return element

    def _with_data(self, data: dict[str, Any]) -> Self:
        """Returns an element of the same class with a copy of the meta information and the given data fields.

        Args:
            data: values of all data fields of this element, or of some of them.
        """
        element = object.__new__(type(self))
        attributes, new_attributes = self.__dict__, element.__dict__
        fields, infos = attributes["_data_fields"], attributes["_metainfo_fields"]
        # If `data` has all fields, copy the set of field names: this is several times faster than creating a new set.
        if len(fields) == len(data):
            new_attributes["_data_fields"] = FieldNames(fields)
        else:
            new_attributes["_data_fields"] = FieldNames.fromkeys(data)
        if infos:
            new_attributes["_metainfo_fields"] = FieldNames(infos)
            for name in infos:
                new_attributes[name] = _values.copy_value(attributes[name])
        else:
            new_attributes["_metainfo_fields"] = FieldNames()
        new_attributes.update(data)
        return element

    def __copy__(self) -> Self:
        return self._with(_same)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._restore_name_order()

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Returns a new element whose tensors are converted by ``Tensor.to`` with the given arguments.

        Nested elements and other objects with a method ``to`` are converted too, also in lists, tuples and
        dictionaries. Meta information and other values are not changed. `cpu`, `detach` and similar methods work in the
        same way.
        """
        return self._with(lambda field: _values.map_tensors(field, lambda value: value.to(*args, **kwargs), "to"))

    def cpu(self) -> Self:
        """Returns a new element with all tensors on the CPU."""
        return self._call_on_tensors("cpu")

    def cuda(self) -> Self:
        """Returns a new element with all tensors on the current CUDA device."""
        return self._call_on_tensors("cuda")

    def npu(self) -> Self:
        """Returns a new element with all tensors on the current Ascend NPU."""
        return self._call_on_tensors("npu")

    def mlu(self) -> Self:
        """Returns a new element with all tensors on the current Cambricon MLU."""
        return self._call_on_tensors("mlu")

    def musa(self) -> Self:
        """Returns a new element with all tensors on the current Moore Threads GPU."""
        return self._call_on_tensors("musa")

    def detach(self) -> Self:
        """Returns a new element whose tensors are detached from the autograd graph."""
        return self._call_on_tensors("detach")

    def pin_memory(self) -> Self:
        """Returns a new element with all tensors in page-locked memory; a DataLoader with ``pin_memory`` calls this."""
        return self._call_on_tensors("pin_memory")

    def _call_on_tensors(self, method: str) -> Self:
        return self._with(lambda field: _values.map_tensors(field, lambda value: getattr(value, method)(), method))

    def numpy(self) -> Self:
        """Returns a new element with numpy arrays instead of tensors."""
        return self._with(lambda field: _values.map_tensors(field, _to_numpy, None))

    def to_tensor(self) -> Self:
        """Returns a new element with tensors instead of numpy arrays; a tensor shares the memory of its array."""
        return self._with(_to_tensor)

    def to_dict(self) -> dict[str, Any]:
        """Returns meta information and data fields in one new dictionary; nested elements become dictionaries."""
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
