"""Registers data elements as pytree nodes of torch, so that ``vmap``, ``torch.compile`` and ``tree_map`` see tensors.

torch has no public name for the registration; this is the only module of the package that uses a private one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.utils import _pytree as torch_tree

from eng.structures._fields import FieldNames


class Layout:
    """Class, field names and meta information of a data element: what torch's pytree functions store beside the values.

    Two layouts are equal if the classes and the field names of their elements are equal.

    Args:
        cls: class of the element.
        fields: names of the element's data fields.
        metainfo: meta information of the element; not compared, because the samples of a batch differ in it.
    """

    def __init__(self, cls: type[Any], fields: tuple[str, ...], metainfo: dict[str, Any]) -> None:
        self.cls, self.fields, self.metainfo = cls, fields, metainfo

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and (self.cls, self.fields) == (other.cls, other.fields)

    def __hash__(self) -> int:
        return hash((self.cls, self.fields))

    def __repr__(self) -> str:
        return f"{self.cls.__name__}({', '.join(self.fields)})"


def register(cls: type[Any]) -> None:
    """Registers a class of data elements with torch's pytree functions, so that these map over the data fields.

    ``vmap``, ``torch.compile`` and ``tree_map`` then find the tensors inside data elements.
    """
    torch_tree.register_pytree_node(cls, flatten, unflatten, flatten_with_keys_fn=_flatten_with_keys)


def flatten(element: Any) -> tuple[list[Any], Layout]:
    """Returns the values of an element's data fields, and the layout from which `unflatten` restores the element."""
    attributes = element.__dict__
    fields = tuple(name for name in attributes["_data_fields"] if name in attributes)
    metainfo = {name: attributes[name] for name in attributes["_metainfo_fields"]}
    return [attributes[name] for name in fields], Layout(type(element), fields, metainfo)


def unflatten(values: Iterable[Any], layout: Layout) -> Any:
    """Creates an element from a layout and new values of its data fields.

    The class's checks of lengths and shapes are skipped: under ``vmap`` a field lacks its batch dimension, and torch
    may pass placeholders instead of tensors.
    """
    element = object.__new__(layout.cls)
    attributes = element.__dict__
    # torch 2.9 compiles dict.fromkeys, but not the class method FieldNames.fromkeys.
    attributes["_metainfo_fields"] = FieldNames(dict.fromkeys(layout.metainfo))
    attributes["_data_fields"] = FieldNames(dict.fromkeys(layout.fields))
    attributes.update(layout.metainfo)
    attributes.update(zip(layout.fields, values, strict=True))
    return element


def _flatten_with_keys(element: Any) -> tuple[list[tuple[Any, Any]], Layout]:
    values, layout = flatten(element)
    return [(torch_tree.GetAttrKey(name), value) for name, value in zip(layout.fields, values, strict=True)], layout
