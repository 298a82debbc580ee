"""Measures how large a config value becomes when it is copied or printed, and defines the largest allowed size."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

MAX_WEIGHT = 10_000_000
_LIGHT = frozenset({int, float, bool, complex, type(None)})
_TEXTS = (str, bytes)
_SEQUENCES = (list, tuple, set, frozenset)
_HEAVY = (*_TEXTS, dict, *_SEQUENCES)
# Copying an empty list or dict, or iterating over it, takes about as long as eight more items would.
_CONTAINER = 8


def weight(value: Any) -> int:
    """Counts the items and characters in a value; stops counting above `MAX_WEIGHT`.

    A list that is referenced twice counts twice, because a dump prints it twice: a few lines such as ``x = [x, x]``
    would otherwise fill the memory. A value that contains itself exceeds every limit.

    Example:
        >>> weight({"a": "four", "b": [1, 2]})
        24
    """
    total, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, _HEAVY):
            continue
        total += len(item)
        if total > MAX_WEIGHT:
            break
        if not isinstance(item, _TEXTS):
            total += _CONTAINER
            waiting += _heavy(dict.values(item) if isinstance(item, dict) else item)
    return total


def _heavy(items: Collection[Any]) -> list[Any]:
    """Returns those of `items` that have a size: texts and containers."""
    if _LIGHT.issuperset(map(type, items)):
        return []
    return [item for item in items if isinstance(item, _HEAVY)]
