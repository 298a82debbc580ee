"""Registers data elements as pytree nodes of torch, so that ``vmap``, ``torch.compile`` and ``tree_map`` see tensors.

torch has no public name for the registration; this is the only module of the package that uses a private one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.utils import _pytree as torch_tree

from eng.structures._fields import FieldNames


class Layout:
    """The structure of a data element without its data (the context of a pytree node).

    Two layouts are equal if their classes and field names are equal.

    Args:
        cls: class of the element.
        fields: names of its data fields.
        metainfo: its meta information; it is not compared, because the samples of a batch differ in it.
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
    """Registers a class of data elements as a pytree node, whose children are the data fields."""
    torch_tree.register_pytree_node(cls, flatten, unflatten, flatten_with_keys_fn=_flatten_with_keys)


def flatten(element: Any) -> tuple[list[Any], Layout]:
    """Returns the values of an element's data fields, and the layout from which `unflatten` restores the element."""
    attributes = element.__dict__
    fields = tuple(name for name in attributes["_data_fields"] if name in attributes)
    metainfo = {name: attributes[name] for name in attributes["_metainfo_fields"]}
    return [attributes[name] for name in fields], Layout(type(element), fields, metainfo)


def unflatten(values: Iterable[Any], layout: Layout) -> Any:
    """Creates an element from a layout and new values of its data fields.

    Lengths and shapes are not checked, because under ``vmap`` a field lacks a dimension, and values may be placeholders.
    """
    element = object.__new__(layout.cls)
    attributes = element.__dict__
    attributes["_metainfo_fields"] = FieldNames.fromkeys(layout.metainfo)
    attributes["_data_fields"] = FieldNames.fromkeys(layout.fields)
    attributes.update(layout.metainfo)
    attributes.update(zip(layout.fields, values, strict=True))
    return element


def _flatten_with_keys(element: Any) -> tuple[list[tuple[Any, Any]], Layout]:
    values, layout = flatten(element)
    return [(torch_tree.GetAttrKey(name), value) for name, value in zip(layout.fields, values, strict=True)], layout
