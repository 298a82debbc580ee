from __future__ import annotations

from typing import Any

import pytest

from eng.registry import MODELS, check

pytestmark = pytest.mark.usefixtures("parts")


@pytest.mark.parametrize(
    "node",
    [
        dict(type="Renames", old_name=1),
        dict(type="Swallows", anything_at_all=1),
        dict(type="LeavesOut", depth=1),
        dict(type="Chooses", anything=1),
        dict(type="Net", width=1, popped_somewhere=2),
    ],
    ids=lambda node: node["type"],
)
def test_what_a_class_may_take_is_no_finding(node: dict[str, Any]) -> None:
    assert check(node, MODELS) == []
