from __future__ import annotations

import argparse
import math
from typing import Any

import pytest

from eng.config import DictAction
from eng.config._action import parse_value

# observed with MMEngine 0.10.7; two inputs on which it never returns are left out
VALUES = {
    "1": 1, "1.5": 1.5, "None": None, "none": "none", "true": True, "True": True, "a,b": ["a", "b"], "[a,b]": ["a", "b"],
    "(1,2)": (1, 2), "[(1,2),(3,4)]": [(1, 2), (3, 4)], "[[1,2],[a]]": [[1, 2], ["a"]], "(a,)": ("a",), "(1)": (1,),
    "[]": [], "()": (), '"q"': "q", "'q'": "q", "1e-3": 0.001, "[1": "[1", "{a}": "{a}", "": "", "[ 1, 2 ]": [1, 2],
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
