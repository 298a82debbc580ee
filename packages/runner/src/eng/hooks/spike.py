"""Detects loss spikes: losses far above the median of the losses before."""

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
    """Settings of the detection of loss spikes: when a loss counts as a spike, and what to do about it.

    Raises:
        ValueError: a value is out of its range.
    """

    factor: float = 10.0
    """A loss above this multiple of the median of the losses before is a spike."""
    window: int = 100
    """Number of losses of which the median is taken. Detection starts after a tenth of them."""
    action: str = "warn"
    """``"warn"``, ``"stop"`` or ``"rollback"``, which resumes from the newest checkpoint and leaves out the iteration."""

    def __post_init__(self) -> None:
        """Checks that ``action``, ``factor`` and ``window`` have valid values."""
        if self.action not in ACTIONS:
            raise ValueError(f"loss_spike's action must be one of {', '.join(ACTIONS)}, got {self.action!r}")
        if not self.factor > 1 or self.window < 1:
            raise ValueError(f"loss_spike needs factor > 1 and window >= 1, got {self.factor!r} and {self.window!r}")

    @classmethod
    def of(cls, setting: Mapping[str, Any] | None) -> LossSpike | None:
        """Creates the settings from the mapping ``loss_spike`` of a config; returns None if ``setting`` is None.

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
    """Finds loss spikes: losses that are far above the median of the losses in the iterations before.

    Args:
        policy: settings that decide when a loss counts as a spike.
    """

    def __init__(self, policy: LossSpike) -> None:
        self.policy = policy
        self._before: deque[float] = deque(maxlen=policy.window)

    def forget(self) -> None:
        """Discards the stored losses, for example after a resume from a checkpoint."""
        self._before.clear()

    def find(self, losses: Iterable[tuple[int, float]]) -> list[tuple[int, float, float]]:
        """Returns the spikes among ``(iteration, loss)`` pairs, as ``(iteration, loss, median of the losses before)``.

        The pairs must be in the order of the iterations. Spikes and non-finite losses do not count for later medians.
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
