"""Validation intervals that are a fraction of an epoch, such as ``val_interval=0.25``."""

from __future__ import annotations

import math
import numbers
from typing import Any

# Upper bound of the rounding error by which a sum of floats such as 0.1 differs from a whole number.
_ROUNDING = 1e-9


def as_fraction(value: Any) -> float | None:
    """Returns a positive number that is not whole, such as 0.25, as a float; None for every other value.

    The result tells whether a ``val_interval`` is a fraction of an epoch, or a number of epochs or iterations.

    Examples:
        >>> as_fraction(0.25), as_fraction(2.0), as_fraction(3)
        (0.25, None, None)
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0 or value == value // 1:
        return None
    return float(value)


def crosses(progress: float, step: float, interval: float) -> bool:
    """Whether a step that ends at ``progress`` reached or passed a multiple of ``interval``.

    Args:
        progress: position at the end of the step, from 0, such as 2.25 epochs.
        step: length of the step, such as the fraction of an epoch that one batch is.
        interval: distance between two multiples, such as 0.25 epochs.

    Examples:
        >>> [n for n in range(1, 11) if crosses(n / 10, 1 / 10, 0.25)]
        [3, 5, 8, 10]
    """
    return math.floor(progress / interval + _ROUNDING) > math.floor((progress - step) / interval + _ROUNDING)
