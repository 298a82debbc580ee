"""Settings that count something."""

from __future__ import annotations

import numbers
from typing import Any

__all__ = ["whole_number"]


def whole_number(name: str, value: Any, least: int) -> int:
    """``value`` as a whole number.

    Args:
        name: of the setting, for the message.
        value: an int, a float such as 4.0, or a number of numpy.
        least: the lowest number that makes sense.

    Raises:
        ValueError: it is something else, or lower.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or value != value // 1 or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more, got {value!r}")
    return int(value)
