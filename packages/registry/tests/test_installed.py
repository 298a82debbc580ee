from __future__ import annotations

import inspect
import sys
from fractions import Fraction

import pytest

from eng.registry import InstalledClass, Registry


def test_module_is_imported_when_the_class_is_built(tmp_path, monkeypatch) -> None:
    (tmp_path / "slow_package.py").write_text(
        "class Part:\n    def __init__(self, size=3):\n        self.size = size\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    tools = Registry("tool", scope="installed")
    tools.register_fallback("Part", InstalledClass("slow_package", "Part"))
    assert "slow_package" not in sys.modules
    assert tools.build(dict(type="Part", size=5)).size == 5
    assert "slow_package" in sys.modules
    monkeypatch.delitem(sys.modules, "slow_package")


def test_arguments_are_those_of_the_class() -> None:
    lazy = InstalledClass("fractions", "Fraction")
    assert lazy.__name__ == "Fraction"
    assert lazy.resolve() is Fraction
    assert inspect.signature(lazy) == inspect.signature(Fraction)


@pytest.mark.parametrize(
    ("module", "name", "error"),
    [("no_such_package_here", "Part", ModuleNotFoundError), ("fractions", "Part", AttributeError)],
)
def test_a_class_that_is_not_there_is_told(module, name, error) -> None:
    with pytest.raises(error, match=r"no_such_package_here|Part"):
        InstalledClass(module, name)()
