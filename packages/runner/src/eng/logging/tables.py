"""Text tables that stay readable on a narrow terminal."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence

from ._terminal import printable

__all__ = ["table_lines", "terminal_columns"]

_INDENT = "  "


def terminal_columns() -> int | None:
    """Returns the width of the terminal of standard output; None if standard output is a file or a pipe."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (AttributeError, OSError, ValueError):
        # Standard output is a file or a pipe, is closed, or has no file descriptor.
        return None


def table_lines(
    rows: Iterable[Sequence[object]], columns: int | None = None, *, has_header: bool = True, num_keys: int = 1
) -> list[str]:
    r"""Formats a table as lines: one line per row, or a block of lines per row if the rows are wider than the terminal.

    Args:
        rows: rows with the same number of cells. Control characters in the cells are escaped.
        columns: width of the terminal; None (default) uses that of standard output, which is unlimited for a file or pipe.
        has_header: whether the first row contains the names of the columns.
        num_keys: number of leading columns that identify a row; they are the first line of its block.

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
    limit = columns
    if limit is None:
        limit = terminal_columns()
    lines = [_align(row, widths) for row in cells]
    if limit is None or max(map(len, lines)) <= limit:
        return lines
    names, body = [""] * len(widths), cells
    if has_header:
        names, body = cells[0], cells[1:]
    return [line for row in body for line in _block(row, names, limit, num_keys)]


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    """Formats a row as a line, with each cell padded to the width of its column."""
    return _INDENT.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _block(row: Sequence[str], names: Sequence[str], columns: int, num_keys: int) -> list[str]:
    """Formats a row as a block of lines: first its keys, then one line per cell."""
    width = max(map(len, names[num_keys:]), default=0)
    lines = [_INDENT.join(row[:num_keys])]
    for name, cell in zip(names[num_keys:], row[num_keys:], strict=True):
        if cell:
            head = f"{_INDENT}{name.ljust(width)}"
            if width:
                head += _INDENT
            lines += textwrap.wrap(
                cell, max(columns, len(head) + 10), initial_indent=head, subsequent_indent=" " * len(head),
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
    return lines
