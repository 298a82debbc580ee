"""How far one word is from another."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache


def closest(name: str, known: Iterable[str], cutoff: float = 0.6, count: int = 3) -> list[str]:
    """The known words that `name` may be a slip of, nearest first; where there is none, the one most like it."""
    candidates = sorted(known)
    slips = sorted((_distance(name, candidate), candidate) for candidate in candidates if is_slip_of(name, candidate))
    return [candidate for _, candidate in slips[:count]] or difflib.get_close_matches(
        name, candidates, n=1, cutoff=cutoff
    )


def or_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"``, or nothing where no known word is near."""
    candidates = closest(name, known)
    if candidates:
        return f"; {did_you_mean(candidates)}"
    return ""


def did_you_mean(names: Iterable[str]) -> str:
    """The question that every message of this package ends with; nothing where there is no name."""
    names = list(names)
    if not names:
        return ""
    return f"did you mean {' or '.join(map(repr, names))}?"


@lru_cache(maxsize=1 << 16)
def is_slip_of(name: str, known: str, most: int = 2) -> bool:
    """Whether `name` is `known` with one slip of the fingers, or with two (at `most`) where it is long."""
    if name == known or len(known) < 3:
        return False  # of two letters, every word is a slip away
    return _distance(name, known) <= min(most, 2 if len(known) >= 10 else 1)


def _distance(a: str, b: str) -> int:
    """Letters to insert, delete, replace or swap with their neighbour (optimal string alignment)."""
    if abs(len(a) - len(b)) > 2:
        return 3
    before: list[int] = []
    above = list(range(len(b) + 1))
    for i, a_letter in enumerate(a, 1):
        row = [i]
        for j, b_letter in enumerate(b, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a_letter != b_letter))
            if i > 1 and j > 1 and a_letter == b[j - 2] and a[i - 2] == b_letter:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]
