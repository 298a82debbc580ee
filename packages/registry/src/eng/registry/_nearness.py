"""Finds names that were probably meant by a misspelled name, by edit distance."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache


def closest(name: str, known: Iterable[str], cutoff: float = 0.6, count: int = 3) -> list[str]:
    """Returns the known names that `name` may be a misspelling of, the most similar first.

    Args:
        name: the misspelled name.
        known: the names that exist.
        cutoff: if no name is within typing errors, the most similar one is returned from this difflib ratio on.
        count: largest number of names to return.
    """
    candidates = sorted(known)
    slips = sorted((_distance(name, candidate), candidate) for candidate in candidates if is_slip_of(name, candidate))
    if slips:
        return [candidate for _, candidate in slips[:count]]
    return difflib.get_close_matches(name, candidates, n=1, cutoff=cutoff)


def or_mean(name: str, known: Iterable[str]) -> str:
    """Returns the end of a message, ``"; did you mean 'x'?"``; an empty string if no known name is similar."""
    candidates = closest(name, known)
    if candidates:
        return f"; {did_you_mean(candidates)}"
    return ""


def did_you_mean(names: Iterable[str]) -> str:
    """Returns ``"did you mean 'x' or 'y'?"`` for messages; an empty string without names."""
    names = list(names)
    if not names:
        return ""
    return f"did you mean {' or '.join(map(repr, names))}?"


@lru_cache(maxsize=1 << 16)
def is_slip_of(name: str, known: str, most: int = 2) -> bool:
    """Whether `name` is probably a misspelling of `known`.

    One typing error is allowed, for a known name of at least ten letters two; never more than `most`.
    """
    if name == known or len(known) < 3:
        return False  # Any other name of two letters is one or two typing errors away.
    allowed_errors = 2 if len(known) >= 10 else 1
    return _distance(name, known) <= min(most, allowed_errors)


def _distance(a: str, b: str) -> int:
    """Returns the edit distance of two names: the number of letters to insert, delete, replace or swap.

    This is the optimal string alignment distance. Above 2 the result may be 3 although the distance is larger.
    """
    if abs(len(a) - len(b)) > 2:
        return 3
    second_last_row: list[int] = []
    last_row = list(range(len(b) + 1))
    for i, a_letter in enumerate(a, 1):
        row = [i]
        for j, b_letter in enumerate(b, 1):
            cost = min(last_row[j] + 1, row[j - 1] + 1, last_row[j - 1] + (a_letter != b_letter))
            if i > 1 and j > 1 and a_letter == b[j - 2] and a[i - 2] == b_letter:
                cost = min(cost, second_last_row[j - 2] + 1)
            row.append(cost)
        second_last_row, last_row = last_row, row
    return last_row[-1]
