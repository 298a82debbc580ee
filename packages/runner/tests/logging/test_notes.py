from __future__ import annotations

import sys

import pytest

from eng.logging.notes import add_note, message_with_notes


def test_messages_and_notes_are_one_line() -> None:
    error = ValueError("first line.\nsecond line")
    add_note(error, "of the painter")
    assert message_with_notes(error) == "first line. second line. of the painter" or sys.version_info < (3, 11)
    assert "of the painter" in message_with_notes(error)
    assert message_with_notes(ValueError("first line.\nsecond line")) == "first line. second line"
    assert message_with_notes(ValueError()) == ""


@pytest.mark.parametrize("error", [KeyError("name"), OSError(2, "gone"), ValueError()], ids=repr)
def test_the_values_of_an_error_stay_what_they_are(error) -> None:
    values = error.args
    add_note(error, "of the painter")
    assert error.args == values
