"""What a config of others may name."""

from __future__ import annotations

import collections

import pytest

from eng.registry import Registry, registered_only


def test_what_is_registered_may_be_named_in_any_way(tools: Registry) -> None:
    with registered_only():
        assert tools.build(dict(type="Counter", a=2))["a"] == 2
        assert tools.get("collections.Counter") is collections.Counter
        assert tools.get("nothing.at.all") is None


def test_the_rule_ends_with_its_block(tools: Registry) -> None:
    with pytest.raises(KeyError, match="inside"), registered_only():
        raise KeyError("inside")
    assert tools.get("os.getcwd") is not None
