from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from eng.config import Config
from eng.config.errors import LazyCallError
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


USES = {
    "if FLAG:\n    x = 1": "whether it is true", "x = not FLAG": "whether it is true", "x = FLAG and 1": "whether it is true",
    "x = 1 if FLAG else 2": "whether it is true", "x = NUM == 7": "what it equals", "x = NUM != 7": "what it equals",
    "x = 7 == NUM": "what it equals", "x = NUM in [1, 7]": "what it equals", "x = isinstance(NUM, int)": "its type",
    "x = isinstance(NUM, (list, dict))": "its type", "x = f'{NAME}'": "its text", "x = '%s' % NAME": "its text", "x = '{}'.format(NAME)": "its text",
    "x = str(NAME)": "its text", "x = NUM + 1": "its value", "x = 1 + NUM": "its value", "x = NUM * 2": "its value", "x = NUM / 2": "its value",
    "x = -NUM": "its value", "x = NUM < 3": "its value", "x = 3 >= NUM": "its value", "x = len(ITEMS)": "its value", "x = [*ITEMS]": "its value",
    "x = [i for i in ITEMS]": "its value", "x = ITEMS[0]": "its value", "x = 1 in ITEMS": "its value", "x = [0][NUM]": "its value",
    "x = range(NUM)": "its value", "x = int(NUM)": "its value", "x = float(NUM)": "its value", "x = max(NUM, 3)": "its value",
    "x = NUM.part == 7": "what it equals", "x = dict(a=NUM.part + 1)": "its value", "x = NAME + 'a'": "its value", "x = [1] + ITEMS": "its value",
}  # fmt: skip


@pytest.mark.parametrize("use", USES)
def test_the_value_of_something_lazy_is_never_guessed(use: str, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(f"from lib_h import FLAG, NAME, NUM, ITEMS\n{use}\n", encoding="utf-8")
    with pytest.raises(LazyCallError, match=rf"lib_h\.\w+.*, imported in .*a.py:1, .* so {USES[use]} is not known"):
        Config.fromfile(file)


def test_what_needs_no_value_works(tmp_path: Path) -> None:
    text = "from lib_h import A, B\nx = A is None\ny = [A, B].index(B)\nz = A == A, A == B, A != B, A in [B]\nw = {A: 1}[A]\nd = dict(t=A)\ne = d['t'] is A\nd.update(u=B)\nl = [d, (A,)]\n"
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    cfg = Config.fromfile(tmp_path / "a.py")
    assert (cfg.x, cfg.y, cfg.z, cfg.w, cfg.e) == (False, 1, (True, False, True, False), 1, True)


def test_outside_of_a_file_a_stand_in_is_an_object_like_any() -> None:
    lazy = LazyObject("no_lib", "X")
    assert lazy
    assert lazy != 1
    assert (str(lazy), f"{lazy:>3}", isinstance(lazy, LazyObject)) == ("X", "  X", True)
