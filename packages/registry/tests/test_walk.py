from __future__ import annotations

import pytest

from eng.registry import HOOKS, MODELS, Node, Plain, Schema, check

pytestmark = pytest.mark.usefixtures("parts")


SCHEMA = Schema(
    keys=frozenset({"model", "hooks", "env"}),
    sections={"model": Node(MODELS), "hooks": Plain(others=Node(HOOKS)), "env": Plain("env", frozenset({"seed"}))},
)


def test_whole_config_by_a_schema() -> None:
    cfg = dict(model=dict(type="Exact", depth=1), hooks=dict(a=dict(type="Nope")), env=dict(sed=1), modle=1, mine=2)
    assert [(each.path, each.is_certain) for each in check(cfg, SCHEMA)] == [
        ("hooks.a.type", True),
        ("env.sed", False),
        ("modle", False),
    ]


def test_a_class_as_type_is_checked_like_a_name() -> None:
    class Net:
        def __init__(self, a: int) -> None:
            raise AssertionError("built")

    assert [each.message for each in check(dict(type=Net, b=1), MODELS)] == [
        "Net takes no argument 'b'",
        "Net needs the argument 'a' (int)",
    ]
