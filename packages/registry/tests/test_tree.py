from __future__ import annotations

import pytest

from eng.registry import Registry


@pytest.fixture
def things() -> Registry:
    return Registry("thing", scope="base")


def test_registered_name_may_hold_a_dot(tree: dict[str, Registry]) -> None:
    tree["base"].register_module(name="ns.X", module=int)
    assert tree["alpha"].get("ns.X") is int
    assert tree["base"].get("ns.X") is int


def test_dotted_path_needs_no_registration(things: Registry) -> None:
    assert things.build(dict(type="fractions.Fraction", numerator=1, denominator=2)) == 0.5
    for absent in ("fractions.Nothing", "no_such_module.X", "a b.c", "math.pi.x.y", "..x"):
        assert things.get(absent) is None
