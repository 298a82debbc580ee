"""Names that a misspelt one may stand for, in the wording of every message of this package."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["suggest"]


def suggest(name: object, known: Iterable[str], otherwise: str | None = None, count: int = 2) -> str:
    """The end of a message about an unknown name: near names, or what there is.

    Args:
        name: the unknown name.
        known: the names that there are.
        otherwise: the end where no known name is near; None (default) lists the known names.
        count: how many near names to give at most.

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
    return f"; there are: {', '.join(names)}" if names else ""
