"""The byte-order mark that some editors put before UTF-8 text."""

from __future__ import annotations

_MARK = "\ufeff"


def without_mark(text: str, encoding: str = "utf-8") -> str:
    r"""`text` without a leading byte-order mark, where its encoding is UTF-8.

    Example:
        >>> without_mark("\ufeffcat")
        'cat'
    """
    is_utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    if is_utf8:
        return text.removeprefix(_MARK)
    return text
