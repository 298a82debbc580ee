"""Walking a tree of registries by its public links: up the parents, down the children."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

N = TypeVar("N", bound="RegistryNode")


class RegistryNode(Protocol):
    """What a registry shows of itself and of its neighbours in the tree."""

    @property
    def name(self) -> str:
        """What it registers, such as ``model``."""

    @property
    def scope(self) -> str:
        """The library it belongs to."""

    @property
    def module_dict(self) -> dict[str, Any]:
        """Registered objects by name."""

    @property
    def parent(self: N) -> N | None:
        """The registry above; None at the root."""

    @property
    def children(self: N) -> Mapping[str, N]:
        """Registries below by scope."""

    @property
    def root(self: N) -> N:
        """The topmost registry."""

    def answers_to(self, scope: str) -> bool:
        """Whether `scope` is its scope, or another name of it."""

    def import_from_location(self) -> None:
        """Imports the modules that register their classes here."""


def line_of(registry: N) -> Iterator[N]:
    """`registry`, its parent, and so on to the root."""
    node: N | None = registry
    while node is not None:
        yield node
        node = node.parent


def tree_below(registry: N) -> Iterator[N]:
    """`registry` and all below it, parents before children."""
    yield registry
    for child in registry.children.values():
        yield from tree_below(child)


def find_scope(registry: N, scope: str) -> N | None:
    """The first registry at or below `registry` that answers to `scope`."""
    return next((node for node in tree_below(registry) if node.answers_to(scope)), None)


def find_name(registry: RegistryNode, name: str) -> Any:
    """What `registry` or the nearest of its ancestors calls `name`, importing locations where it is not there."""
    for node in line_of(registry):
        if name not in node.module_dict:
            node.import_from_location()
        if name in node.module_dict:
            return node.module_dict[name]
    return None
