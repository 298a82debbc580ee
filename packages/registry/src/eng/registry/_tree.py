"""Walking a tree of registries by its public links: up the parents, down the children."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._registry import Registry


def line_of(registry: Registry) -> Iterator[Registry]:
    """`registry`, its parent, and so on to the root."""
    node: Registry | None = registry
    while node is not None:
        yield node
        node = node.parent


def tree_below(registry: Registry) -> Iterator[Registry]:
    """`registry` and all below it, parents before children."""
    yield registry
    for child in registry.children.values():
        yield from tree_below(child)


def find_scope(registry: Registry, scope: str) -> Registry | None:
    """The first registry at or below `registry` that answers to `scope`."""
    return next((node for node in tree_below(registry) if node.answers_to(scope)), None)


def find_name(registry: Registry, name: str) -> Any:
    """What `registry` or the nearest of its ancestors calls `name`, importing locations where it is not there."""
    for node in line_of(registry):
        if name not in node.module_dict:
            node.import_from_location()
        if name in node.module_dict:
            return node.module_dict[name]
    return None
