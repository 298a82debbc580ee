from __future__ import annotations

import importlib
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


def test_words_of_a_package_that_registers_nothing(package) -> None:
    """Pure-Python configs name classes and functions themselves."""
    package("unregistered", builders="def load(path, **options):\n    return options.get('remote_code_name')\n")
    load = importlib.import_module("unregistered.builders").load
    node = dict(type=load, path="x", remot_code_name=True)
    (finding,) = check(dict(type="Net", width=1, reader=node), MODELS)
    assert (finding.path, "remote_code_name" in finding.message) == ("model.reader.remot_code_name", True)
    assert check(dict(type="Net", width=1, reader=dict(node, remot_code_name=1, other_name=2)), MODELS) == []


@pytest.mark.parametrize("meant", [len, dict, "Net"], ids=["function", "class", "registered name"])
def test_a_slip_of_type_beside_a_type(meant: Any) -> None:
    node = dict(type="Net", width=1, reader=dict(tpye=meant))
    assert [finding.path for finding in check(node, MODELS)] == ["model.reader.tpye"]


@pytest.mark.parametrize("value", ["a text", ["Net"], 3], ids=str)
def test_a_key_near_type_with_another_value(value: Any) -> None:
    assert check(dict(type="Net", width=1, reader=dict(types=value)), MODELS) == []
