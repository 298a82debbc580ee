"""Losses that jump: held against the median of the iterations before, at the same moments as losses that are not finite."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

ACTIONS = ("warn", "stop", "rollback")


@dataclass(frozen=True, kw_only=True)
class LossSpike:
    """When a loss counts as a spike, and what happens then.

    Raises:
        ValueError: a value is out of its range.
    """

    factor: float = 10.0
    """How many times the median of the losses before a loss may be."""
    window: int = 100
    """Iterations that the median is over; a tenth of them must have been seen."""
    action: str = "warn"
    """``"warn"``, ``"stop"`` or ``"rollback"``: back to the newest checkpoint, and the iteration is left out."""

    def __post_init__(self) -> None:
        """Makes sure that the values make sense."""
        if self.action not in ACTIONS:
            raise ValueError(f"loss_spike's action must be one of {', '.join(ACTIONS)}, got {self.action!r}")
        if not self.factor > 1 or self.window < 1:
            raise ValueError(f"loss_spike needs factor > 1 and window >= 1, got {self.factor!r} and {self.window!r}")

    @classmethod
    def of(cls, setting: Mapping[str, Any] | None) -> LossSpike | None:
        """The policy of a setting; None where there is none.

        Raises:
            ValueError: a key is unknown.
        """
        if setting is None:
            return None
        known = [field.name for field in fields(cls)]
        unknown = [key for key in setting if key not in known]
        if unknown:
            raise ValueError(f"loss_spike takes {', '.join(known)}, not {unknown[0]!r}")
        return cls(**setting)


class SpikeDetector:
    """Finds the losses that are too far above the median of those before.

    Args:
        policy: when a loss counts as a spike.
    """

    def __init__(self, policy: LossSpike) -> None:
        self.policy = policy
        self._before: deque[float] = deque(maxlen=policy.window)

    def forget(self) -> None:
        """Forgets the losses so far, as after going back to a checkpoint."""
        self._before.clear()

    def find(self, losses: Iterable[tuple[int, float]]) -> list[tuple[int, float, float]]:
        """Takes in losses in their order, and gives the spikes as ``(iteration, loss, median before)``.

        A spike does not enter the median, and neither does a loss that is not finite.
        """
        spikes = []
        for iteration, loss in losses:
            if not math.isfinite(loss):
                continue
            if self._before:
                median = statistics.median(self._before)
            else:
                median = math.nan
            enough = len(self._before) >= max(self.policy.window // 10, 1)
            if enough and median > 0 and loss > self.policy.factor * median:
                spikes.append((iteration, loss, median))
            else:
                self._before.append(loss)
        return spikes
