"""suggest: the end of a message about an unknown name, with similar names ("did you mean ...?")."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["suggest"]


def suggest(name: object, known: Iterable[str], otherwise: str | None = None, count: int = 2) -> str:
    """Returns the end of a message about an unknown name: similar known names, or all known names.

    Args:
        name: the unknown name.
        known: the known names.
        otherwise: text to return if no known name is similar; None (default) lists the known names.
        count: maximum number of similar names.

    Examples:
        >>> suggest("max_nrom", ["max_norm", "norm_type"])
        "; did you mean 'max_norm'?"
        >>> suggest("zzz", ["b", "a"])
        '; there are: a, b'
        >>> suggest("zzz", ["b", "a"], otherwise="")
        ''
    """
    names = sorted(known)
    matches = difflib.get_close_matches(str(name), names, n=count, cutoff=0.6)
    if matches:
        return f"; did you mean {' or '.join(map(repr, matches))}?"
    if otherwise is not None:
        return otherwise
    if not names:
        return ""
    return f"; there are: {', '.join(names)}"
