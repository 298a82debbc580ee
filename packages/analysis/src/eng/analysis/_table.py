"""Formats numbers with units, and tables as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Row = tuple[str, ...]

# Triples (limit, unit, letter): a number above the limit is divided by the unit and shown with the letter, so that 100
# stays 100 and 101 becomes 0.101K.
_UNITS = ((1e14, 1e15, "P"), (1e11, 1e12, "T"), (1e8, 1e9, "G"), (1e5, 1e6, "M"), (1e2, 1e3, "K"))


def format_size(number: float, digits: int = 3) -> str:
    """Formats a number with a unit letter and without trailing zeros.

    Example:
        >>> format_size(25557032), format_size(440, 2), format_size(100)
        ('25.557M', '0.44K', '100')
    """
    for above, unit, letter in _UNITS:
        if abs(number) > above:
            return f"{_trimmed(number / unit, digits)}{letter}"
    return _trimmed(number, digits)


def _trimmed(number: float, digits: int) -> str:
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def indented(depth: int, row: Iterable[str]) -> Row:
    """Returns a table row whose non-empty cells are indented by `depth` spaces."""
    return tuple(" " * depth + cell if cell else cell for cell in row)


def render(header: Sequence[str], rows: Sequence[Row], title: str = "") -> str:
    """Formats a table as text with borders of ``+``, ``-`` and ``|``."""
    widths = [max(len(row[column]) for row in (tuple(header), *rows)) for column in range(len(header))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    lines = [rule, line(header), rule, *map(line, rows), rule]
    return "\n".join([title.center(len(rule)), *lines] if title else lines)
