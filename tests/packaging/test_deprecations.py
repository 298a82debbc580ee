"""scripts/deprecations.py: which deprecations are told, and what is wrong with each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from deprecations import Deprecation, deprecations, problem

SOURCE = """
@deprecated("deprecated since 1.2, removed in 1.4: use `new` instead")
def old(): ...

class Owner:
    @typing_extensions.deprecated(MESSAGE)
    def method(self): ...

def current(): ...
"""


def test_decorated_functions_and_methods_are_read() -> None:
    assert list(deprecations(SOURCE, "a.py")) == [
        Deprecation("a.py:3", "old", "deprecated since 1.2, removed in 1.4: use `new` instead"),
        Deprecation("a.py:7", "method", None),
    ]


@pytest.mark.parametrize(
    ("message", "version", "expected"),
    [
        ("deprecated since 1.2, removed in 1.4: use x", (1, 3), None),
        ("deprecated since 1.9, removed in 2.0: use x", (1, 9), None),
        ("deprecated since 1.2, removed in 1.4: use x", (1, 4), "remove it now"),
        ("deprecated since 1.2, removed in 1.3: use x", (1, 2), "two minor releases"),
        ("gone soon", (1, 2), "write the message as"),
        (None, (1, 2), "write the message as"),
    ],
)
def test_what_is_wrong_is_said(message: str | None, version: tuple[int, int], expected: str | None) -> None:
    text = problem(Deprecation("a.py:1", "old", message), version)
    assert text is None if expected is None else expected in str(text)
