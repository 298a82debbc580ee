"""Totals: count, sum, minimum and maximum of the values that a history buffer has dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Totals:
    """Sum, total weight, minimum, maximum and number of the values that a history buffer has dropped."""

    __slots__ = ("count", "largest", "length", "smallest", "total")

    def __init__(self) -> None:
        self.total, self.count, self.smallest, self.largest, self.length = 0.0, 0.0, float("inf"), float("-inf"), 0

    def with_values(self, values: np.ndarray, counts: np.ndarray) -> Totals:
        """Returns new totals that also include ``values``, with their weights ``counts``."""
        joined = Totals()
        # Convert to float64: `min` and `max` of an integer array do not accept an infinite initial value.
        values = np.asarray(values, np.float64)
        joined.total = self.total + float(values.sum())
        joined.count = self.count + float(counts.sum())
        joined.smallest = min(self.smallest, float(values.min(initial=np.inf)))
        joined.largest = max(self.largest, float(values.max(initial=-np.inf)))
        joined.length = self.length + len(values)
        return joined

    def as_list(self) -> list[float]:
        """Returns the totals as a list of numbers, for a checkpoint."""
        return [self.total, self.count, self.smallest, self.largest, float(self.length)]

    @classmethod
    def from_list(cls, numbers_: Sequence[float]) -> Totals:
        """Creates totals from the list that :meth:`as_list` returned."""
        totals = cls()
        totals.total, totals.count, totals.smallest, totals.largest = (float(number) for number in numbers_[:4])
        totals.length = int(numbers_[4])
        return totals


NOTHING = Totals()
