"""Walking a tree of registries by the names of the reference."""

from __future__ import annotations

from typing import Any

from eng.registry._registry import _add_child
from eng.registry._tree import find_scope, line_of


class OfRegistry:
    """Added to :class:`eng.registry.Registry`."""

    def _get_root_registry(self: Any) -> Any:
        """The registry at the top of the tree."""
        return list(line_of(self))[-1]

    def _search_child(self: Any, scope: str) -> Any:
        """The first registry at or below this one that has the scope; None where there is none."""
        return find_scope(self, scope)

    def _add_child(self: Any, registry: Any) -> None:
        """Makes `registry` a child.

        Raises:
            ValueError: there is a child of that scope already.
        """
        _add_child(self, registry)


MEMBERS = {"Registry": OfRegistry}
