"""SECURITY.md: each promise names the tests that hold it, and they exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w./]+\.py)::(\w+)`", TEXT)))


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_named_test_exists(path: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in names_in(path)


def test_each_promise_has_a_test() -> None:
    promises = re.findall(r"^- (.+?)(?=^- |^#|^\n|\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
    without = [promise.split("\n")[0] for promise in promises if "::test_" not in promise]
    assert len(promises) > 20
    assert [line[:60] for line in without] == ["`eng sync` takes the address of a tracker from the config in"]
