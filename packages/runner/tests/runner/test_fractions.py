from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from eng.runner.loops._fractions import as_fraction, crosses


@pytest.mark.parametrize(("value", "part"), [(0.25, 0.25), (1.5, 1.5), (Fraction(1, 2), 0.5), (np.float32(0.5), 0.5)])
def test_numbers_with_a_part_behind_the_point(value: object, part: float) -> None:
    assert as_fraction(value) == part


@pytest.mark.parametrize("value", [1, 2.0, 0, -0.5, True, math.inf, math.nan, "0.5", None, {"minutes": 0.5}])
def test_all_else_is_no_fraction(value: object) -> None:
    assert as_fraction(value) is None


@pytest.mark.parametrize("interval", [0.35, 0.5, 0.7, 1.0, 1.5])
@pytest.mark.parametrize("steps", [3, 7, 10, 64, 1000])
def test_each_multiple_is_crossed_once(interval: float, steps: int) -> None:
    """Over three epochs there are as many crossings as multiples, where a step holds no more than one."""
    crossings = sum(crosses(step / steps, 1 / steps, interval) for step in range(1, 3 * steps + 1))
    assert crossings == math.floor(3 / interval + 1e-6)
