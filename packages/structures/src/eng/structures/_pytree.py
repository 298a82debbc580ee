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
        kind: class of the element.
        fields: names of its data.
        metainfo: its meta information, carried but not compared: samples of a batch differ in it.
    """

    def __init__(self, kind: type[Any], fields: tuple[str, ...], metainfo: dict[str, Any]) -> None:
        self.kind, self.fields, self.metainfo = kind, fields, metainfo

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and (self.kind, self.fields) == (other.kind, other.fields)

    def __hash__(self) -> int:
        return hash((self.kind, self.fields))

    def __repr__(self) -> str:
        return f"{self.kind.__name__}({', '.join(self.fields)})"


def register(kind: type[Any]) -> None:
    """Makes elements of a class nodes of torch's trees; their data are the children."""
    torch_tree.register_pytree_node(kind, flatten, unflatten, flatten_with_keys_fn=_flatten_with_keys)


def flatten(element: Any) -> tuple[list[Any], Layout]:
    """Data of an element, and what is needed to put it together again."""
    own = element.__dict__
    fields = tuple(name for name in own["_data_fields"] if name in own)
    metainfo = {name: own[name] for name in own["_metainfo_fields"]}
    return [own[name] for name in fields], Layout(type(element), fields, metainfo)


def unflatten(values: Iterable[Any], layout: Layout) -> Any:
    """The element again, around other values.

    Lengths and shapes are not checked: under ``vmap`` a field has a dimension less, and a tree may hold placeholders.
    """
    made = object.__new__(layout.kind)
    own = made.__dict__
    own["_metainfo_fields"] = FieldNames.fromkeys(layout.metainfo)
    own["_data_fields"] = FieldNames.fromkeys(layout.fields)
    own.update(layout.metainfo)
    own.update(zip(layout.fields, values, strict=True))
    return made


def _flatten_with_keys(element: Any) -> tuple[list[tuple[Any, Any]], Layout]:
    values, layout = flatten(element)
    return [(torch_tree.GetAttrKey(name), value) for name, value in zip(layout.fields, values, strict=True)], layout
