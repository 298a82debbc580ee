from __future__ import annotations

import math
import random

import pytest

from eng.tune import Choice, Float, Int, Normal, SpaceError
from eng.tune._space import as_space, from_json, parse_axis, to_json


@pytest.mark.parametrize(
    ("word", "key", "axis"),
    [
        ("optim_wrapper.optimizer.lr=0.1,0.01", "optim_wrapper.optimizer.lr", Choice((0.1, 0.01))),
        ("model.depth=18", "model.depth", Choice((18,))),
        ("model.type=A,B", "model.type", Choice(("A", "B"))),
        ("betas=[0.9,0.99],[0.8,0.9]", "betas", Choice(([0.9, 0.99], [0.8, 0.9]))),
        ("x=choice(1,two)", "x", Choice((1, "two"))),
        ("x=uniform(0, 1)", "x", Float(0.0, 1.0)),
        ("x=uniform(0,1,0.25)", "x", Float(0.0, 1.0, False, 0.25)),
        ("x=loguniform(1e-4,1e-1)", "x", Float(1e-4, 1e-1, True)),
        ("x=int(1,8,2)", "x", Int(1, 8, False, 2)),
        ("x=logint(1,64)", "x", Int(1, 64, True)),
        ("x=normal(0,2)", "x", Normal(0.0, 2.0)),
        ("x=f(1,2),g(y)", "x", Choice(("f(1,2)", "g(y)"))),
        ("x='f(1,2)'", "x", Choice(("f(1,2)",))),
    ],
)
def test_words_are_read(word: str, key: str, axis: object) -> None:
    assert parse_axis(word) == (key, axis)
    assert from_json(to_json(axis)) == axis


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("x", "an axis is written KEY=VALUES, got 'x'"),
        ("x=", "x: the axis is empty"),
        ("x=choice()", r"x: choice\(\) is empty"),
        ("x=uniform(3,2)", r"x: uniform\(3.0, 2.0\) is empty: the low end must not be above the high end"),
        ("x=int(3,2)", r"x: int\(3, 2\) is empty"),
        ("x=loguniform(0,1)", r"x: loguniform\(0.0, 1.0\): a logarithmic range begins above 0"),
        ("x=uniform(nan,1)", r"is empty"),
        ("x=int(0.5,2)", r"int\(0.5,2\) takes whole numbers"),
        ("x=uniform(1)", r"uniform\(1\) takes 2 or 3 numbers, got 1"),
        ("x=loguniform(1,2,3)", r"takes 2 numbers, got 3"),
        ("x=uniform(0,1,0)", r"uniform\(0.0, 1.0, 0.0\): a step must be above 0"),
        ("x=normal(0,0)", r"normal\(0.0, 0.0\): the standard deviation must be above 0"),
        (
            "x=foo(1,2)",
            r"^x: there is no distribution foo; there are: choice, uniform, .*, normal; write a text with brackets in",
        ),
        (
            "x=unifrom(f(1),2)",
            r"no distribution unifrom; did you mean uniform.*; write a text with brackets in quotes$",
        ),
    ],
)
def test_empty_and_impossible_axes_are_refused(word: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        parse_axis(word)


def test_python_axes_may_be_lists() -> None:
    assert as_space({"a": [1, 2], "b": Int(0, 1)}) == {"a": Choice((1, 2)), "b": Int(0, 1)}
    with pytest.raises(SpaceError, match="a: the axis is empty"):
        as_space({"a": []})
    with pytest.raises(SpaceError, match="a: an axis is a list, Choice, Float, Int or Normal, got str"):
        as_space({"a": "1,2"})


def test_draws_follow_their_distributions() -> None:
    generator = random.Random(0)
    logs = [math.log10(Float(1e-4, 1.0, log=True).draw(generator)) for _ in range(4000)]
    assert min(logs) >= -4
    assert max(logs) <= 0
    assert sum(logs) / len(logs) == pytest.approx(-2, abs=0.06)  # uniform: standard error 1.155 / sqrt(4000) = 0.018
    assert {Int(1, 7, step=3).draw(generator) for _ in range(200)} == {1, 4, 7}
    assert {Float(0, 1, step=0.5).draw(generator) for _ in range(200)} == {0, 0.5, 1}
    whole = [Int(1, 3, log=True).draw(generator) for _ in range(6000)]
    # log(2/1), log(3/2) and log(4/3) out of log(4)
    for value in (1, 2, 3):
        assert whole.count(value) / 6000 == pytest.approx(math.log((value + 1) / value) / math.log(4), abs=0.03)
    gauss = [Normal(5, 2).draw(generator) for _ in range(4000)]
    assert sum(gauss) / 4000 == pytest.approx(5, abs=0.13)
