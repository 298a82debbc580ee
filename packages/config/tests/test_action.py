from __future__ import annotations

import argparse
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eng.config import DictAction
from eng.config._action import parse_value

# observed with MMEngine 0.10.7; two inputs on which it never returns are left out
VALUES = {
    "1": 1, "1.5": 1.5, "None": None, "none": "none", "true": True, "True": True, "a,b": ["a", "b"], "[a,b]": ["a", "b"],
    "(1,2)": (1, 2), "[(1,2),(3,4)]": [(1, 2), (3, 4)], "[[1,2],[a]]": [[1, 2], ["a"]], "(a,)": ("a",), "(1)": (1,),
    "[]": [], "()": (), '"q"': "q", "'q'": "q", "1e-3": 0.001, "[1": "[1", "{a}": "{a}", "": "", "[ 1, 2 ]": [1, 2],
    "{'type': 'EMAHook'}": {"type": "EMAHook"}, "{type: EMAHook, n: {a: 1}}": {"type": "EMAHook", "n": {"a": 1}},
    "dict(type=EMAHook, m=0.1)": {"type": "EMAHook", "m": 0.1}, "[dict(type=A),{'b': (1,2)}]": [{"type": "A"}, {"b": (1, 2)}],
    "dict(a=dict(b=[1,2]),c='d,e')": {"a": {"b": [1, 2]}, "c": "d,e"}, "dict()": {}, "{}": {}, "{1: a, 'b:c': 2}": {1: "a", "b:c": 2},
    "{a,b}": "{a,b}", "{'a': 1}, x": [{"a": 1}, "x"], "'1'": "1", '"None"': "None", "'a,b'": "a,b", "'true'": "true",
    '["a b","c,d"]': ["a b", "c,d"], 'say "x"': 'say "x"', "it's,b": ["it's", "b"], "don't": "don't", "a)b": "a)b", "(a": "(a",
    "f(x)": "f(x)", "\"it's\"": "it's", "'[1,2]'": [1, 2], "\"'[1,2]'\"": "'[1,2]'", "''": "", "a=b": "a=b", "{'a'": "{'a'",
    "[a],b": [["a"], "b"], "0x10": "0x10", "1_000": 1000, "-1": -1, '"[a,b]"': ["a", "b"], '[""]': [""],
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), VALUES.items(), ids=VALUES)
def test_values(text: str, expected: Any) -> None:
    value = parse_value(text)
    assert (value, type(value)) == (expected, type(expected))
    assert DictAction._parse_iterable(text) == expected


def test_nan() -> None:
    assert math.isnan(parse_value("nan"))


def test_tuples_in_a_row_are_a_list() -> None:
    assert parse_value("(1,2),(3,4)") == [(1, 2), (3, 4)]


@pytest.mark.parametrize("text", ["dict(a)", "dict(1,a=2)", "[dict(x)]"])
def test_a_dict_holds_names_with_values(text: str) -> None:
    with pytest.raises(ValueError, match="expected name=value between the brackets"):
        parse_value(text)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'\"\\"), max_size=6)


@given(
    st.recursive(
        st.integers() | st.booleans() | st.none() | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.lists(inner, min_size=1, max_size=3).map(tuple)
        | st.dictionaries(st.from_regex("[a-z]{1,4}", fullmatch=True), inner, max_size=3),
        max_leaves=8,
    )
)  # fmt: skip
def test_the_repr_of_a_value_is_a_way_to_write_it(value: Any) -> None:
    if isinstance(value, str) and value[:1] in ("(", "["):
        return  # a list in quotes is a list
    assume(all(not text.startswith(("(", "[")) for text in texts(value)))
    shown = repr(value)
    assume("\\" not in shown)
    assert parse_value(shown) == value


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [text for item in items for text in texts(item)]


@pytest.mark.parametrize("text", ["1,2]", "a,(b", "[(1,2]", "[[1]"])
def test_brackets_that_do_not_match(text: str) -> None:
    with pytest.raises(ValueError, match="a bracket is opened and not closed, or closed and not opened"):
        parse_value(text)


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    return parser


def test_repeated_options_add_up_and_the_last_wins(parser: argparse.ArgumentParser) -> None:
    words = ["--cfg-options", "a=1", "b.c=[1,2]", "d=x=y", "--cfg-options", "a=3"]
    assert parser.parse_args(words).cfg_options == {"a": 3, "b.c": [1, 2], "d": "x=y"}


def test_a_default_is_not_changed() -> None:
    default = {"a": 1}
    parser = argparse.ArgumentParser()
    parser.add_argument("--o", nargs="+", action=DictAction, default=default)
    assert parser.parse_args(["--o", "b=2"]).o == {"a": 1, "b": 2}
    assert default == {"a": 1}


@pytest.mark.parametrize(
    ("word", "match"), [("a", "expected key=value"), ("=1", "expected key=value"), ("a=[(1]", "a bracket is opened")]
)
def test_a_malformed_option_is_a_usage_error(parser: argparse.ArgumentParser, word: str, match: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=match):
        parser.parse_args(["--cfg-options", word])
