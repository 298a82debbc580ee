from __future__ import annotations

import subprocess

import pytest

from eng.registry import Registry, UntrustedTypeError, registered_only


@pytest.mark.parametrize("path", ["os.system", "subprocess.Popen", "builtins.eval", "collections.OrderedDict.fromkeys"])
def test_a_dotted_path_leads_to_nothing_that_is_not_registered(tools: Registry, path: str) -> None:
    assert tools.get(path) is not None
    with registered_only(), pytest.raises(UntrustedTypeError, match=f"'{path}' is not registered"):
        tools.get(path)
    with registered_only(), pytest.raises(ValueError, match="is not registered"):
        tools.build(dict(type=path, args=["touch", "owned"]))


def test_objects_may_be_accepted(tools: Registry) -> None:
    with registered_only(lambda target: target is subprocess.Popen):
        assert tools.get("subprocess.Popen") is subprocess.Popen
        with pytest.raises(UntrustedTypeError, match=r"os\.system"):
            tools.get("os.system")
