from __future__ import annotations

import ast
import collections
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eng.config import Config
from eng.config._printer import python_text
from eng.config.lazy import LazyObject

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "{{fileDirname}}",
        "{{$HOME:x}}",
        "{{ _base_.a }}",
        "a'b\"c",
        "\n",
        "yes",
        "1e3",
        "null",
        "=",
        "_EngSub",
        "\x85",
        "\ufeff",
    ]
)
NAMES = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True) | st.sampled_from(
    ["class", "self", "dict", "globals", "π"]
)
NUMBERS = st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none()
KEYS = NAMES | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
    lambda key: not key.startswith("_")
)


def values(leaves: st.SearchStrategy[Any], *, tuples: bool) -> st.SearchStrategy[Any]:
    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        lists = st.lists(inner, max_size=4)
        found = lists | st.dictionaries(KEYS, inner, max_size=4)
        return found | lists.map(tuple) if tuples else found

    return st.recursive(leaves, grow, max_leaves=12)


def configs(*, tuples: bool) -> st.SearchStrategy[dict[str, Any]]:
    reserved = {"filename", "text", "pretty_text", "env_variables", "custom_imports"}
    return st.dictionaries(
        KEYS.filter(lambda key: key not in reserved), values(TEXT | NUMBERS, tuples=tuples), max_size=6
    )


@pytest.mark.parametrize("extension", ["py", "json", "yaml"])
def test_load_of_dump_is_the_same(extension: str, tmp_path: Path) -> None:
    file = tmp_path / f"dumped.{extension}"

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(configs(tuples=extension != "json"))
    def check(data: dict[str, Any]) -> None:
        cfg = Config(data)
        cfg.dump(file)
        again = Config.fromfile(file)
        assert again.to_dict() == cfg.to_dict() == data
        if extension == "py":
            assert Config.fromfile(file, trust=False).to_dict() == data

    check()


@settings(max_examples=100, deadline=None)
@given(configs(tuples=True))
def test_text_is_python_and_stable(data: dict[str, Any]) -> None:
    text = python_text(data)
    ast.parse(text)
    assert Config.fromstring(text, ".py").pretty_text == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (dict(type="SGD", lr=0.1), "x = dict(type='SGD', lr=0.1)\n"),
        ({"a-b": 1, "c": 2}, "x = {'a-b': 1, 'c': 2}\n"),
        ({1: 2}, "x = {1: 2}\n"),
        ({"class": 1}, "x = {'class': 1}\n"),
        ((1,), "x = (1,)\n"),
        ((), "x = ()\n"),
        (set(), "x = set()\n"),
        ({3, 1}, "x = {1, 3}\n"),
        (float("inf"), "x = float('inf')\n"),
        ("{{fileDirname}}", "x = '{\\x7bfileDirname}}'\n"),
        (collections.OrderedDict, "x = 'collections.OrderedDict'\n"),
        (LazyObject("torch.nn", "Conv2d"), "x = 'torch.nn.Conv2d'\n"),
        (math.sqrt, "x = 'math.sqrt'\n"),
        (range(3), "x = range(0, 3)\n"),
    ],
    ids=str,
)
def test_one_line(value: Any, expected: str) -> None:
    assert python_text({"x": value}) == expected


def test_long_values_have_a_line_per_item_with_a_trailing_comma() -> None:
    value = dict(type="A" * 30, sizes=[1] * 3, sub=dict(name="B" * 30, other="C" * 30, more=[dict(a=1)]))
    assert python_text({"model": value}) == (
        f"model = dict(\n    type='{'A' * 30}',\n    sizes=[1, 1, 1],\n    sub=dict(\n        name='{'B' * 30}',\n"
        f"        other='{'C' * 30}',\n        more=[dict(a=1)],\n    ),\n)\n"
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**6), max_size=30))
def test_no_line_is_longer_than_80_columns(numbers: list[int]) -> None:
    text = python_text({"model": dict(a=numbers, b=dict(c=tuple(numbers)))})
    assert max(map(len, text.splitlines())) <= 80


def test_order_is_that_of_the_config() -> None:
    assert list(Config.fromstring(Config(dict(z=1, a=2)).pretty_text, ".py")) == ["z", "a"]


def test_numbers_beyond_names_load_again() -> None:
    assert Config.fromstring(Config({"a-b": 1, "class": 2}).pretty_text, ".py").to_dict() == {"a-b": 1, "class": 2}


@pytest.mark.parametrize("extension", ["json", "yaml"])
def test_a_value_without_a_form_is_named(extension: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=f"object.*has no form in {extension.upper()}"):
        Config(dict(a=object())).dump(tmp_path / f"x.{extension}")


@pytest.mark.parametrize("extension", ["json", "yaml"])
def test_classes_and_lazy_things_are_named(extension: str, tmp_path: Path) -> None:
    Config(dict(a=collections.OrderedDict, b=LazyObject("x", "Y"))).dump(tmp_path / f"x.{extension}")
    assert Config.fromfile(tmp_path / f"x.{extension}").to_dict() == {"a": "collections.OrderedDict", "b": "x.Y"}


def test_dump_without_a_file_gives_text() -> None:
    assert Config(dict(a=1)).dump() == "a = 1\n"
    assert Config(dict(a=1), cfg_text="", filename="x.json").dump() == '{"a": 1}'


def test_dump_to_something_else() -> None:
    with pytest.raises(OSError, match=r"cannot dump a config to 'x.toml'.*\.yaml"):
        Config(dict(a=1)).dump("x.toml")
