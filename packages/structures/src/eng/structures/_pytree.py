"""Data elements as nodes of torch's trees, so that ``vmap``, ``torch.compile`` and ``tree_map`` see their tensors.

torch offers no public name for this registration; this is the only module of the package that uses a private one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.utils import _pytree as torch_tree

from eng.structures._fields import FieldNames


class Layout:
    """What an element is beside its data: two layouts are equal where class and fields are, whatever the image.

    Args:
        cls: class of the element.
        fields: names of its data.
        metainfo: its meta information, carried but not compared: samples of a batch differ in it.
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
    """Makes elements of a class nodes of torch's trees; their data are the children."""
    torch_tree.register_pytree_node(cls, flatten, unflatten, flatten_with_keys_fn=_flatten_with_keys)


def flatten(element: Any) -> tuple[list[Any], Layout]:
    """Data of an element, and what is needed to put it together again."""
    attributes = element.__dict__
    fields = tuple(name for name in attributes["_data_fields"] if name in attributes)
    metainfo = {name: attributes[name] for name in attributes["_metainfo_fields"]}
    return [attributes[name] for name in fields], Layout(type(element), fields, metainfo)


def unflatten(values: Iterable[Any], layout: Layout) -> Any:
    """The element again, around other values.

    Lengths and shapes are not checked: under ``vmap`` a field has a dimension less, and a tree may hold placeholders.
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
