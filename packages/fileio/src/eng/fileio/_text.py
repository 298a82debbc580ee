"""Removes the byte-order mark that some editors write at the start of UTF-8 files."""

from __future__ import annotations

_MARK = "\ufeff"


def without_mark(text: str, encoding: str = "utf-8") -> str:
    r"""Returns `text` without a leading byte-order mark if its encoding is UTF-8.

    Example:
        >>> without_mark("\ufeffcat")
        'cat'
    """
    is_utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    if is_utf8:
        return text.removeprefix(_MARK)
    return text
