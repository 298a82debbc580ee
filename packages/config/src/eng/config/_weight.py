"""How much a value of a config says when it is written out, and what is too much for one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

MAX_WEIGHT = 10_000_000
_LIGHT = frozenset({int, float, bool, complex, type(None)})
_TEXTS = (str, bytes)
_SEQUENCES = (list, tuple, set, frozenset)
_HEAVY = (*_TEXTS, dict, *_SEQUENCES)
# A container costs more than its items, to copy as to look into.
_CONTAINER = 8


def weight(value: Any) -> int:
    """Items and characters in a value, counted until they exceed `MAX_WEIGHT`.

    A list that is mentioned twice counts twice, as it does in every copy and dump: that is how a few lines such as
    ``x = [x, x]`` fill a memory. What contains itself exceeds any limit.

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
    if _LIGHT.issuperset(map(type, items)):
        return []
    return [item for item in items if isinstance(item, _HEAVY)]
