from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

from eng.registry._check.annotations import contradicts, spelled

# The spelling of old code, which ruff would rewrite.
OPTIONAL = Optional[int]  # noqa: UP045
UNION = Union[int, str]  # noqa: UP007
UNION_OF_NUMBERS = Union[int, float]  # noqa: UP007

# Stands in for torch's, which this package knows by name only.
TENSOR = type("Tensor", (), {"__module__": "torch"})

FITS = [
    (1, int), (True, int), (1, float), (1.5, float), ("a", str), (True, bool), (1, bool), (None, OPTIONAL),
    (3, UNION), ("a", int | str), ([1, 2], list[int]), ((1, 2), list[int]), ([1, 2], tuple[int, int]),
    ([1, 2], tuple[int, ...]), ({"a": 1}, dict), ({"a": 1}, dict[str, int]), ("mim", Literal["min", "mim"]),
    ([1], Sequence[int]), ("x", Any), (3, Path), ("x", Callable), ({"type": "Net"}, int), (None, None),
    ([], list[int]), (object(), int), ({"type": "X"}, str), ([1.5, 2], list[float]), (3, "not resolved"),
    (0.1, float | TENSOR), ([0.1], TENSOR), ({"type": "X"}, TENSOR), ("1e-3", float | TENSOR), (1e5, int), (12.0, OPTIONAL),
]  # fmt: skip
CONTRADICTS = [
    ("12", int), (1.5, int), (float("inf"), int), ("0.1", float), (1, str), ("yes", bool), (2, bool), (None, int), ([1], int),
    ("a", int | None), ("abc", list[int]), (3, list), (["a"], list[int]), (["a"], tuple[int, ...]), ([1], dict),
    ("mix", Literal["min", "max"]), (3, Sequence[int]), ({"a": 1}, list), ("a", UNION_OF_NUMBERS), (1, None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "hint"), FITS, ids=lambda value: str(value)[:30])
def test_fits(value: Any, hint: Any) -> None:
    assert not contradicts(value, hint)


@pytest.mark.parametrize(("value", "hint"), CONTRADICTS, ids=lambda value: str(value)[:30])
def test_contradicts(value: Any, hint: Any) -> None:
    assert contradicts(value, hint)


@pytest.mark.parametrize(
    ("hint", "words"),
    [(int, "int"), (OPTIONAL, "int | None"), (list[int], "list[int]"), (int | str, "int | str")],
    ids=str,
)
def test_spelled(hint: Any, words: str) -> None:
    assert spelled(hint) == words
