"""Private methods of MMEngine's ``Registry`` that libraries call to walk the tree of registries."""

from __future__ import annotations

from typing import Any

from eng.registry._registry import _add_child
from eng.registry._tree import find_scope, line_of


class OfRegistry:
    """Members of :class:`eng.registry.Registry` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    def _get_root_registry(self: Any) -> Any:
        """Returns the root of the tree of registries."""
        return list(line_of(self))[-1]

    def _search_child(self: Any, scope: str) -> Any:
        """Returns the first registry with the scope, among this registry and those below it; None if there is none."""
        return find_scope(self, scope)

    def _add_child(self: Any, registry: Any) -> None:
        """Adds a child registry.

        Raises:
            ValueError: this registry already has a child with that scope.
        """
        _add_child(self, registry)


MEMBERS = {"Registry": OfRegistry}
