from __future__ import annotations

import pytest

from eng.registry import MODELS, Node, check

pytestmark = pytest.mark.usefixtures("parts")


def test_one_node_of_one_registry() -> None:
    assert [each.path for each in check(dict(type="Exact", dept=1), MODELS)] == ["model.dept", "model"]
    assert [each.path for each in check([dict(type="Exact"), dict(type="Exat")], MODELS)] == [
        "model[0]",
        "model[1].type",
    ]
    assert check(dict(type="Exact"), Node(MODELS, supplied=frozenset({"depth"}))) == []
