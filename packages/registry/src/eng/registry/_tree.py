"""Walks a tree of registries: from a registry up to the root, or down to all children."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

N = TypeVar("N", bound="RegistryNode")


class RegistryNode(Protocol):
    """The attributes of `Registry` that the functions of this module need."""

    @property
    def name(self) -> str:
        """What the registry contains, such as ``"model"``."""

    @property
    def scope(self) -> str:
        """Name of the library that owns the registry, such as ``"mmdet"``."""

    @property
    def module_dict(self) -> dict[str, Any]:
        """The registered classes and functions by name."""

    @property
    def parent(self: N) -> N | None:
        """The parent registry; None for the root."""

    @property
    def children(self: N) -> Mapping[str, N]:
        """The child registries by scope."""

    @property
    def root(self: N) -> N:
        """The topmost registry of the tree."""

    def answers_to(self, scope: str) -> bool:
        """Whether `scope` is the registry's scope, or a synonym of it."""

    def import_from_location(self) -> None:
        """Imports the modules that register their classes in this registry."""


def line_of(registry: N) -> Iterator[N]:
    """Yields `registry`, its parent, and all further ancestors up to the root."""
    node: N | None = registry
    while node is not None:
        yield node
        node = node.parent


def tree_below(registry: N) -> Iterator[N]:
    """Yields `registry` and all registries below it, parents before children."""
    yield registry
    for child in registry.children.values():
        yield from tree_below(child)


def find_scope(registry: N, scope: str) -> N | None:
    """Returns the first registry, among `registry` and those below it, whose scope or synonym is `scope`."""
    return next((node for node in tree_below(registry) if node.answers_to(scope)), None)


def find_name(registry: RegistryNode, name: str) -> Any:
    """Returns the class or function registered as `name` in `registry` or the nearest ancestor; None if there is none.

    If a registry does not know the name, it imports the modules in its `locations`, which may register the name, before
    the parent is searched.
    """
    for node in line_of(registry):
        if name not in node.module_dict:
            node.import_from_location()
        if name in node.module_dict:
            return node.module_dict[name]
    return None
