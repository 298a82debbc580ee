"""Make texts from checkpoint files safe to print on a terminal or in a log."""

from __future__ import annotations

from eng.logging._terminal import printable

__all__ = ["visible"]


def visible(value: object) -> str:
    r"""Returns the text of a value with control characters escaped, so that a file cannot control the terminal.

    The control sequences of colours are escaped too.

    Args:
        value: a value from a checkpoint; line breaks are kept.

    Examples:
        >>> visible("red: \x1b[31m")
        'red: \\x1b[31m'
    """
    return "\n".join(printable(line, one_line=True) for line in str(value).split("\n"))
