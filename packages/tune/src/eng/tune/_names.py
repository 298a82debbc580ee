"""Near names, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(name: str, names: Iterable[str], *, all_if_none: bool = True) -> str:
    """The end of a message: names that resemble ``name``, or all names where none does."""
    known = list(dict.fromkeys(names))
    matches = difflib.get_close_matches(name, known, n=3)
    if matches:
        return f"; did you mean {' or '.join(matches)}?"
    return f"; there are: {', '.join(known)}" if known and all_if_none else ""
