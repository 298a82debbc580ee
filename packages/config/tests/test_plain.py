"""A dump reads back equal, or is refused with the dotted key."""

from __future__ import annotations

import array
import collections
import datetime as dt
import enum
import functools
import os
import pathlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eng.config import Config
from eng.config._plain import to_plain
from eng.config.errors import DumpTypeError
from eng.config.lazy import LazyObject


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "a name"


class Number(int):
    pass


class Items(list[Any]):
    pass


Pair = collections.namedtuple("Pair", "a b")
PLAIN = [
    (np.int64(3), 3), (np.float32(0.5), 0.5), (np.bool_(True), True), (np.str_("x"), "x"), (np.arange(3), [0, 1, 2]),
    (np.array(2.0), 2.0), (list(np.arange(2)), [0, 1]), (np.array([[1, 2]]), [[1, 2]]), (Color.RED, "red"), (Level.HIGH, 3),
    (Name("n"), "n"), (Number(4), 4), (Items([1, {"a": 2}]), [1, {"a": 2}]), (pathlib.PurePosixPath("a/b"), "a/b"),
    (collections.OrderedDict(a=1), {"a": 1}), (collections.defaultdict(int, a=np.int64(1)), {"a": 1}),
    (collections.OrderedDict, "collections.OrderedDict"), (LazyObject("x", "Y"), "x.Y"), (len, "builtins.len"), (Config, "eng.config.config.Config"),
]  # fmt: skip


@pytest.mark.parametrize("extension", ["py", "json", "yaml"])
@pytest.mark.parametrize(("value", "expected"), PLAIN, ids=lambda value: str(value)[:30])
def test_what_has_a_plain_form_reads_back_as_it(value: Any, expected: Any, extension: str, tmp_path: Path) -> None:
    file = tmp_path / f"x.{extension}"
    Config(dict(a=dict(b=[value]))).dump(file)
    for trust in (True, False):
        again = Config.fromfile(file, trust=trust).a.b[0]
        assert (again, type(again) if expected.__class__ is not dict else dict) == (expected, type(expected))


REFUSED = [
    functools.partial(int, base=2), lambda: 1, array.array("d", [1.0]), threading.Lock(), object(), os.environ, Ellipsis, slice(1),
    open, 10**5000, complex("inf"), iter([]), np.array([object()]), {"k": {1: object()}},
]  # fmt: skip


@pytest.mark.parametrize("extension", ["py", "json", "yaml"])
@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_what_has_none_is_refused_with_its_key(value: Any, extension: str, tmp_path: Path) -> None:
    if value is open:
        pytest.skip("a function of a module has a name")
    cfg = Config(dict(model=dict(heads=[1, value])))
    with pytest.raises(TypeError, match=r"^model\.heads\.1"):
        cfg.dump(tmp_path / f"x.{extension}")
    assert not (tmp_path / f"x.{extension}").exists()
    assert "heads" in cfg.pretty_text
    assert os.environ["PATH"] not in cfg.pretty_text


def test_what_contains_itself_is_refused(tmp_path: Path) -> None:
    items: list[Any] = []
    cfg = Config(dict(a=1))
    dict.__setitem__(cfg._cfg_dict, "b", items)
    items.append(items)
    with pytest.raises(DumpTypeError, match="^b: a value contains itself"):
        cfg.dump(tmp_path / "x.py")


@pytest.mark.parametrize(
    ("value", "forms"),
    [
        ((1, 2), "Python YAML"), ({1, 2}, "Python YAML"), (frozenset({1}), "Python"), (range(3), "Python"), (b"x", "Python YAML"),
        (1j, "Python"), (dt.date(2020, 1, 1), "YAML"), (dt.datetime(2020, 1, 1, 2), "YAML"), ({1: 2}, "Python YAML JSON"),
        ({(1, 2): 3}, "Python"),
    ],
)  # fmt: skip
def test_each_format_has_its_own_values(value: Any, forms: str, tmp_path: Path) -> None:
    for form, extension in (("Python", "py"), ("YAML", "yaml")):
        file = tmp_path / f"x.{extension}"
        if form in forms.split():
            Config(dict(a=value)).dump(file)
            assert Config.fromfile(file).a == value
        elif not isinstance(value, (frozenset, range, dict)):
            with pytest.raises(TypeError, match="^a"):
                Config(dict(a=value)).dump(file)


def test_json_has_lists_only_and_text_keys(tmp_path: Path) -> None:
    Config(dict(a=(1, {2}), b={3: 4})).dump(tmp_path / "x.json")
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{"a": [1, [2]], "b": {"3": 4}}'
    with pytest.raises(DumpTypeError, match="^a: two of its keys are one in JSON"):
        Config(dict(a={1: 1, "1": 2})).dump(tmp_path / "y.json")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.binary(max_size=3)
    | st.sampled_from([Color.RED, Level.HIGH, Name("n"), np.int64(2), dt.date(2020, 1, 1), object(), len, pathlib.PurePath("p"), 1j]),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def same_json(value: Any) -> Any:
    if isinstance(value, dict):
        names = {None: "null", True: "true", False: "false"}
        return {key if isinstance(key, str) else names.get(key, str(key)) if type(key) is not int else str(key): same_json(item) for key, item in value.items()}  # fmt: skip
    return [same_json(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("extension", ["py", "json", "yaml"])
def test_a_dump_reads_back_equal_or_is_refused(extension: str, tmp_path: Path) -> None:
    file = tmp_path / f"x.{extension}"
    form = {"py": "Python", "json": "JSON", "yaml": "YAML"}[extension]

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(ANY)
    def check(value: Any) -> None:
        cfg = Config(dict(key=value))
        try:
            cfg.dump(file)
        except TypeError as error:
            assert str(error).startswith("key")  # noqa: PT017  # either outcome is right
            return
        plain = to_plain(value, form)
        assert Config.fromfile(file).to_dict()["key"] == (same_json(plain) if form == "JSON" else plain)

    check()
