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
        cutoff: if no known name differs only by typing errors, the most similar one is returned, provided that its
            similarity (difflib's ratio, 0 to 1) is at least `cutoff`.
        count: largest number of names to return.
    """
    candidates = sorted(known)
    slips = sorted((_distance(name, candidate), candidate) for candidate in candidates if is_slip_of(name, candidate))
    if slips:
        return [candidate for _, candidate in slips[:count]]
    return difflib.get_close_matches(name, candidates, n=1, cutoff=cutoff)


def or_mean(name: str, known: Iterable[str]) -> str:
    """Returns the end of a message, such as ``"; did you mean 'x' or 'y'?"``, with up to three similar names.

    The result is an empty string if no known name is similar.
    """
    candidates = closest(name, known)
    if candidates:
        return f"; {did_you_mean(candidates)}"
    return ""


def did_you_mean(names: Iterable[str]) -> str:
    """Returns ``"did you mean 'x' or 'y'?"`` for messages; an empty string if `names` is empty."""
    names = list(names)
    if not names:
        return ""
    return f"did you mean {' or '.join(map(repr, names))}?"


@lru_cache(maxsize=1 << 16)
def is_slip_of(name: str, known: str, most: int = 2) -> bool:
    """Whether `name` is probably a misspelling of `known`.

    The names may differ by one typing error, or by two if `known` has at least ten letters, but by at most `most`.
    """
    if name == known or len(known) < 3:
        return False  # Every short name would be similar to a name of two letters.
    allowed_errors = 2 if len(known) >= 10 else 1
    return _distance(name, known) <= min(most, allowed_errors)


def _distance(a: str, b: str) -> int:
    """Returns the edit distance of two names: how many letters must be inserted, deleted, replaced or swapped.

    This is the optimal string alignment distance. A distance of more than 2 may be returned as 3, which saves time.
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
