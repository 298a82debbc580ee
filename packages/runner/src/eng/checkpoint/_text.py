"""Texts out of checkpoints, on their way to a terminal or a log."""

from __future__ import annotations

from eng.logging._terminal import printable

__all__ = ["visible"]


def visible(value: object) -> str:
    r"""The text of a value with control characters spelled out, so that a file cannot steer a terminal.

    Colours are spelled out too, which a program may print and a checkpoint may not.

    Args:
        value: from a checkpoint; its lines stay lines.

    Examples:
        >>> visible("red: \x1b[31m")
        'red: \\x1b[31m'
    """
    return "\n".join(printable(line, one_line=True) for line in str(value).split("\n"))
