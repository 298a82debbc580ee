from __future__ import annotations

from typing import Any

from eng.registry import Registry


def test_registries_are_walked_by_the_names_of_the_reference() -> None:
    root: Any = Registry("thing", scope="top")
    child: Any = Registry("thing", parent=root, scope="lower")
    assert child._get_root_registry() is root
    assert root._search_child("lower") is child
    assert root._search_child("elsewhere") is None
