"""Tables of Markdown pages that a script writes between two comments of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

END = "<!-- end of the table -->"


def split_at_table(page: str, begin: str) -> tuple[str, str, str]:
    r"""The text up to the comment ``begin``, the text between the comments, and the text from the comment `END` on.

    Raises:
        ValueError: the page lacks one of the comments.

    Example:
        >>> split_at_table(f"above\n<!-- table -->\n| 1 |\n{END}\nbelow", "<!-- table -->")
        ('above\n<!-- table -->\n', '| 1 |\n', '<!-- end of the table -->\nbelow')
    """
    before, opening, behind = page.partition(f"{begin}\n")
    table, closing, after = behind.partition(END)
    if not opening or not closing:
        raise ValueError(f"the page lacks the lines {begin!r} and {END!r}, between which its table stands")
    return before + opening, table, closing + after


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""The lines of a table.

    Example:
        >>> markdown_table(("package", "lines"), [("config", "97.1")])
        '| package | lines |\n| --- | --- |\n| config | 97.1 |\n'
    """
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ("---",) * len(head), *rows))
