"""Text of others on a terminal: what it says is shown, what it would make the terminal do is not done."""

from __future__ import annotations

import re

__all__ = ["printable"]

# Control characters but line break and tab; colours are let through where a whole line is printed.
_CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


def printable(text: str, *, one_line: bool = False) -> str:
    r"""`text` with control characters spelled out, so that a name in a file cannot move the cursor or set a title.

    Args:
        text: from anywhere.
        one_line: spell out line breaks, tabs and colours too, as for a name in a table.

    Example:
        >>> printable("loss\x1b]0;title\x07")
        'loss\\x1b]0;title\\x07'
    """
    if one_line:
        return "".join(char if char.isprintable() else _spelled(char) for char in text)
    return _CONTROL.sub(lambda match: match[0] if _COLOR.fullmatch(match[0]) else _spelled(match[0]), text)


def _spelled(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")
