"""What a history remembers of values that it no longer holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Totals:
    """What a buffer remembers of values that it no longer holds."""

    __slots__ = ("count", "largest", "length", "smallest", "total")

    def __init__(self) -> None:
        self.total, self.count, self.smallest, self.largest, self.length = 0.0, 0.0, float("inf"), float("-inf"), 0

    def with_values(self, values: np.ndarray, counts: np.ndarray) -> Totals:
        """These totals with `values` and their weights added."""
        joined, values = Totals(), np.asarray(values, np.float64)  # integer arrays cannot hold the infinities below
        joined.total = self.total + float(values.sum())
        joined.count = self.count + float(counts.sum())
        joined.smallest = min(self.smallest, float(values.min(initial=np.inf)))
        joined.largest = max(self.largest, float(values.max(initial=-np.inf)))
        joined.length = self.length + len(values)
        return joined

    def as_list(self) -> list[float]:
        """As numbers that a checkpoint can hold."""
        return [self.total, self.count, self.smallest, self.largest, float(self.length)]

    @classmethod
    def from_list(cls, numbers_: Sequence[float]) -> Totals:
        """From what :meth:`as_list` gave."""
        totals = cls()
        totals.total, totals.count, totals.smallest, totals.largest = (float(number) for number in numbers_[:4])
        totals.length = int(numbers_[4])
        return totals


NOTHING = Totals()
