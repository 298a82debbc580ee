"""Formats names and values for messages, tables and pages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


def near_names(name: str, names: Iterable[str], *, all_if_none: bool = True) -> str:
    """Returns the end of an error message that suggests those of `names` that are spelled like `name`.

    If no name is similar, all names are listed, unless `all_if_none` is False.
    """
    known = list(dict.fromkeys(names))
    matches = difflib.get_close_matches(name, known, n=3)
    if matches:
        return f"; did you mean {' or '.join(matches)}?"
    return f"; there are: {', '.join(known)}" if known and all_if_none else ""


def short_names(keys: Sequence[str]) -> list[str]:
    """Shortens dotted keys to as few of their last parts as keep the keys distinct: ``optimizer.lr`` becomes ``lr``."""
    names = []
    for key in keys:
        parts = key.split(".")
        length = 1
        while length < len(parts) and sum(other.endswith("." + ".".join(parts[-length:])) for other in keys) > 1:
            length += 1
        names.append(".".join(parts[-length:]))
    return names


def shown(value: Any) -> str:
    """Formats the value of a varied config key as text for tables; floats have six significant digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
