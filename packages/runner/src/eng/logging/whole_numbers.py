"""whole_number: checks a setting that must be an integer."""

from __future__ import annotations

import numbers
from typing import Any

__all__ = ["whole_number"]


def whole_number(name: str, value: Any, least: int) -> int:
    """Converts ``value`` to an int, if it is an integer of at least ``least``.

    Args:
        name: name of the setting, for the message.
        value: an int, a float such as 4.0, or a number of numpy.
        least: the smallest valid number.

    Raises:
        ValueError: ``value`` is not an integer, or is below ``least``.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or value != value // 1 or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more, got {value!r}")
    return int(value)
