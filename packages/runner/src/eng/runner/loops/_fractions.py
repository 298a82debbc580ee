"""Validation intervals that are a part of an epoch, such as ``val_interval=0.25``."""

from __future__ import annotations

import math
import numbers
from typing import Any

# Sums of floats such as 0.1 differ from whole numbers by rounding errors below this.
_ROUNDING = 1e-9


def as_fraction(value: Any) -> float | None:
    """Returns a number that is not whole, such as 0.25, as a float; None for every other value.

    Examples:
        >>> as_fraction(0.25), as_fraction(2.0), as_fraction(3)
        (0.25, None, None)
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0 or value == value // 1:
        return None
    return float(value)


def crosses(progress: float, step: float, interval: float) -> bool:
    """Whether the last step towards ``progress`` reached or passed a multiple of ``interval``.

    Args:
        progress: where the step ends, from 0.
        step: its length.
        interval: distance of the multiples.

    Examples:
        >>> [n for n in range(1, 11) if crosses(n / 10, 1 / 10, 0.25)]
        [3, 5, 8, 10]
    """
    return math.floor(progress / interval + _ROUNDING) > math.floor((progress - step) / interval + _ROUNDING)
