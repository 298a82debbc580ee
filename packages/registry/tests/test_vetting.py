"""What a config of others may name."""

from __future__ import annotations

import collections
import subprocess

import pytest

from eng.registry import Registry, UntrustedTypeError, registered_only


@pytest.fixture
def tools() -> Registry:
    registry = Registry("tool", scope="vetting")
    registry.register_module(module=collections.Counter)
    return registry


@pytest.mark.parametrize("path", ["os.system", "subprocess.Popen", "builtins.eval", "collections.OrderedDict.fromkeys"])
def test_a_dotted_path_leads_to_nothing_that_is_not_registered(tools: Registry, path: str) -> None:
    assert tools.get(path) is not None
    with registered_only(), pytest.raises(UntrustedTypeError, match=f"'{path}' is not registered"):
        tools.get(path)
    with registered_only(), pytest.raises(ValueError, match="is not registered"):
        tools.build(dict(type=path, args=["touch", "owned"]))


def test_what_is_registered_may_be_named_in_any_way(tools: Registry) -> None:
    with registered_only():
        assert tools.build(dict(type="Counter", a=2))["a"] == 2
        assert tools.get("collections.Counter") is collections.Counter
        assert tools.get("nothing.at.all") is None


def test_objects_may_be_accepted(tools: Registry) -> None:
    with registered_only(lambda target: target is subprocess.Popen):
        assert tools.get("subprocess.Popen") is subprocess.Popen
        with pytest.raises(UntrustedTypeError, match=r"os\.system"):
            tools.get("os.system")


def test_the_rule_ends_with_its_block(tools: Registry) -> None:
    with pytest.raises(KeyError, match="inside"), registered_only():
        raise KeyError("inside")
    assert tools.get("os.getcwd") is not None
