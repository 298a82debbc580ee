"""Notes on exceptions (PEP 678): what the code that an exception passes through knows and its message does not say."""

from __future__ import annotations

import sys

__all__ = ["add_note", "message_with_notes"]


def add_note(error: BaseException, note: str) -> bool:
    """Adds a note to an exception; before Python 3.11, which shows no notes, a line to the text of its message.

    Args:
        error: any exception.
        note: shown below the message.

    Returns:
        Whether the note is shown with the exception. False only before Python 3.11, where the first argument of the exception is not
        its message, as in a KeyError.

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
    if error.args and isinstance(error.args[0], str) and not isinstance(error, KeyError):  # whose text is a key
        error.args = (f"{error.args[0]}\n{note}", *error.args[1:])
        return True
    return False


def message_with_notes(error: BaseException) -> str:
    """The message of an exception and its notes in one line.

    Args:
        error: any exception.
    """
    lines = [
        *str(error).splitlines(),
        *(line for note in getattr(error, "__notes__", ()) for line in note.splitlines()),
    ]
    return ". ".join(line.strip().removesuffix(".") for line in lines)
