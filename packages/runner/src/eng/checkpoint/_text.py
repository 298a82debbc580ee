"""Texts out of checkpoints, on their way to a terminal or a log."""

from __future__ import annotations

__all__ = ["visible"]


def visible(value: object) -> str:
    r"""The text of a value with control characters written out, so that a file cannot steer a terminal.

    Args:
        value: from a checkpoint; its lines stay lines.

    Examples:
        >>> visible("red: \x1b[31m")
        'red: \\x1b[31m'
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else ascii(character)[1:-1] for character in text
    )
