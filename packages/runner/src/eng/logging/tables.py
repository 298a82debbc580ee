"""Tables of text that stay readable on a narrow terminal."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence

from ._terminal import printable

__all__ = ["table_lines", "terminal_columns"]

_INDENT = "  "


def terminal_columns() -> int | None:
    """Width of the terminal that standard output leads to; None where it leads to a file or a pipe."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (AttributeError, OSError, ValueError):  # a file, a pipe, closed, or no file at all
        return None


def table_lines(
    rows: Iterable[Sequence[object]], columns: int | None = None, *, has_header: bool = True, num_keys: int = 1
) -> list[str]:
    r"""The lines of a table: a line for each row or, where they do not fit, a block for each row with a line for each cell.

    Args:
        rows: of equal length. Control characters of their texts are spelled out.
        columns: of the terminal; None (default) takes those of the terminal of standard output, and has no limit elsewhere.
        has_header: whether the first row names the columns.
        num_keys: columns that say what a row is about: the first line of its block.

    Example:
        >>> rows = [("run", "status"), ("a", "done"), ("b", "failed")]
        >>> print(*table_lines(rows, 80), sep="\n")
        run  status
        a    done
        b    failed
        >>> print(*table_lines(rows, 10), sep="\n")
        a
          status  done
        b
          status  failed
    """
    cells = [[printable(str(cell), one_line=True) for cell in row] for row in rows]
    if not cells:
        return []
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    limit = terminal_columns() if columns is None else columns
    lines = [_aligned(row, widths) for row in cells]
    if limit is None or max(map(len, lines)) <= limit:
        return lines
    names, body = (cells[0], cells[1:]) if has_header else ([""] * len(widths), cells)
    return [line for row in body for line in _block(row, names, limit, num_keys)]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return _INDENT.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _block(row: Sequence[str], names: Sequence[str], columns: int, num_keys: int) -> list[str]:
    """A row that is too wide for the screen, as a block of lines: its keys, then one cell per line."""
    width = max(map(len, names[num_keys:]), default=0)
    lines = [_INDENT.join(row[:num_keys])]
    for name, cell in zip(names[num_keys:], row[num_keys:], strict=True):
        if cell:
            head = f"{_INDENT}{name.ljust(width)}{_INDENT if width else ''}"
            lines += textwrap.wrap(
                cell, max(columns, len(head) + 10), initial_indent=head, subsequent_indent=" " * len(head),
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
    return lines
