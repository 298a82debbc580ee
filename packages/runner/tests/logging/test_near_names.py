from __future__ import annotations

from pathlib import Path

import pytest

import eng.logging
from eng.logging.near_names import suggest


@pytest.mark.parametrize(
    ("name", "options", "end"),
    [
        ("optimiser", {}, "; did you mean 'optimizer'?"),
        ("tets", {}, "; did you mean 'tests' or 'test'?"),
        ("tets", {"count": 1}, "; did you mean 'tests'?"),
        (None, {}, "; there are: optimizer, test, tests"),
        ("xyz", {"otherwise": "; see the docs"}, "; see the docs"),
        ("xyz", {"otherwise": ""}, ""),
    ],
)
def test_a_message_ends_with_near_names(name, options, end) -> None:
    assert suggest(name, ["tests", "optimizer", "test"], **options) == end


def test_nothing_is_said_of_no_names() -> None:
    assert suggest("x", []) == ""


def test_the_wording_stands_in_one_module() -> None:
    """Two places ask another question: a rule's own cutoff, and which argument a hook's misspelt one stands for."""
    rooms = Path(eng.logging.__path__[0]).parent
    users = {
        path.name
        for path in rooms.rglob("*.py")
        if "get_close_matches" in path.read_text() and "/runner/src/" in str(path)
    }
    assert users <= {"near_names.py", "_paramwise.py", "_signatures.py"}
