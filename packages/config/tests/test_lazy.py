from __future__ import annotations

import copy
import os
import pickle
from typing import Any

import pytest

from eng.config.lazy import LazyAttr, LazyObject, dotted_name, hold_lazy, resolve


@pytest.mark.parametrize(
    ("lazy", "dotted", "expected"),
    [
        (LazyObject("os"), "os", os),
        (LazyObject("os.path"), "os.path", os.path),
        (LazyObject(["os.path"]), "os", os),
        (LazyObject("os", "path"), "os.path", os.path),
        (LazyObject("os").path.join, "os.path.join", os.path.join),
        (LazyObject("xml", "dom"), "xml.dom", None),
    ],
    ids=["module", "dotted", "list", "member", "attributes", "submodule"],
)
def test_build_and_dotted_name(lazy: Any, dotted: str, expected: Any) -> None:
    built = lazy.build()
    assert expected is None or built is expected
    assert dotted_name(lazy) == dotted


def test_several_imports_of_one_package_build_the_package() -> None:
    lazy = LazyObject(["xml.dom.minidom", "xml.etree"])
    assert lazy.build().__name__ == "xml"
    assert lazy.dom.minidom.dotted == "xml.dom.minidom"


@pytest.mark.parametrize(
    ("lazy", "match"),
    [
        (LazyObject("no_such_module", "X", "a.py:3"), "no_such_module.*a.py:3"),
        (LazyObject("os", "no_such_name", "a.py:3"), "'os' has no 'no_such_name'.*a.py:3"),
        (LazyObject("os", None, "a.py:3").nothing, "os has no 'nothing'.*a.py:3"),
    ],
    ids=["module", "name", "attribute"],
)
def test_what_does_not_exist_names_the_line(lazy: Any, match: str) -> None:
    with pytest.raises(ImportError, match=match):
        lazy.build()


@pytest.mark.parametrize("lazy", [LazyObject("a", "B", "a.py:1"), LazyObject("a").B], ids=["object", "attr"])
def test_calling_is_refused(lazy: Any) -> None:
    with pytest.raises(RuntimeError, match=r"a\.B is imported lazily.*dict\(type=B"):
        lazy()


@pytest.mark.parametrize("wrong", [3, [], [1]], ids=str)
def test_module_must_be_names(wrong: Any) -> None:
    with pytest.raises(TypeError, match="string"):
        LazyObject(wrong)


def test_source_must_be_lazy() -> None:
    with pytest.raises(TypeError, match="LazyObject or a LazyAttr, got str"):
        LazyAttr("x", "os")  # type: ignore[arg-type]


@pytest.mark.parametrize("lazy", [LazyObject("os", "sep"), LazyObject("os").sep], ids=["object", "attr"])
def test_copies_and_pickles_are_equal(lazy: Any) -> None:
    for again in (copy.deepcopy(lazy), copy.copy(lazy), pickle.loads(pickle.dumps(lazy))):
        assert again == lazy
        assert hash(again) == hash(lazy)
        assert repr(again) == "sep"
        assert again.build() == os.sep


def test_hold_lazy_gives_the_stand_in() -> None:
    lazy = LazyObject("os")
    with hold_lazy():
        assert resolve(lazy) is lazy
    assert resolve(lazy) is os
