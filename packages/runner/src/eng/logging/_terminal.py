"""printable: makes text from files safe to print, by escaping control characters that a terminal would execute."""

from __future__ import annotations

import re

__all__ = ["printable"]

# Characters that `printable` escapes: all control characters except line break and tab. The first alternative matches
# complete colour codes, so that `printable` can leave them unchanged.
_CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


def printable(text: str, *, one_line: bool = False) -> str:
    r"""Escapes the control characters in a text, which could move the cursor of a terminal or set its title.

    Args:
        text: text from any source.
        one_line: whether to escape line breaks, tabs and colours, too, for example for a name in a table.

    Example:
        >>> printable("loss\x1b]0;title\x07")
        'loss\\x1b]0;title\\x07'
    """
    if one_line:
        return "".join(map(_escape_unprintable, text))
    return _CONTROL.sub(_escape_match, text)


def _escape_unprintable(char: str) -> str:
    if char.isprintable():
        return char
    return _escape(char)


def _escape_match(match: re.Match[str]) -> str:
    """Escapes a control character; a colour code is not changed."""
    if _COLOR.fullmatch(match[0]):
        return match[0]
    return _escape(match[0])


def _escape(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")
