"""Notes on exceptions (PEP 678), with which outer code adds information to an exception that it does not handle."""

from __future__ import annotations

import sys

__all__ = ["add_note", "message_with_notes"]


def add_note(error: BaseException, note: str) -> bool:
    """Adds a note to an exception. Python 3.10 has no notes, so there the note becomes a line of the message.

    Args:
        error: any exception.
        note: text that is shown below the message.

    Returns:
        Whether the note was added. False only in Python 3.10, for an exception whose first argument is not its message, such
        as a KeyError.

    Example:
        >>> error = ValueError("no such color")
        >>> add_note(error, "raised by the painter")
        True
        >>> message_with_notes(error)
        'no such color. raised by the painter'
    """
    if sys.version_info >= (3, 11):
        error.add_note(note)
        return True
    # The first argument of a KeyError is the key, which must not be changed.
    if error.args and isinstance(error.args[0], str) and not isinstance(error, KeyError):
        error.args = (f"{error.args[0]}\n{note}", *error.args[1:])
        return True
    return False


def message_with_notes(error: BaseException) -> str:
    """Joins the message of an exception and its notes to one line.

    Args:
        error: any exception.
    """
    lines = [
        *str(error).splitlines(),
        *(line for note in getattr(error, "__notes__", ()) for line in note.splitlines()),
    ]
    return ". ".join(line.strip().removesuffix(".") for line in lines)
