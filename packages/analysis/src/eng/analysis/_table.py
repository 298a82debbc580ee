"""Numbers as people read them, and tables in plain characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Row = tuple[str, ...]

# From this size on (exclusive) a number is given in the unit: 100 stays 100, 101 is 0.101K.
_UNITS = ((1e14, 1e15, "P"), (1e11, 1e12, "T"), (1e8, 1e9, "G"), (1e5, 1e6, "M"), (1e2, 1e3, "K"))


def format_size(number: float, digits: int = 3) -> str:
    """A count with a unit, without trailing zeros.

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
    """Every cell that holds something, moved right by `depth`."""
    return tuple(" " * depth + cell if cell else cell for cell in row)


def render(header: Sequence[str], rows: Sequence[Row], title: str = "") -> str:
    """A table drawn with ``+``, ``-`` and ``|``."""
    widths = [max(len(row[column]) for row in (tuple(header), *rows)) for column in range(len(header))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    lines = [rule, line(header), rule, *map(line, rows), rule]
    return "\n".join([title.center(len(rule)), *lines] if title else lines)
