from __future__ import annotations

import pytest
from check_parts import Thing

from eng.registry import Registry


@pytest.fixture
def things() -> Registry:
    return Registry("thing", scope="base")


def test_repr_is_a_table_of_names(things: Registry) -> None:
    things.register_module(module=Thing)
    assert "Registry of thing" in repr(things)
    assert "Thing" in repr(things)
