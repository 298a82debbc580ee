"""Time intervals of a training run; all ranks agree on the iteration at which an interval ends."""

from __future__ import annotations

import numbers
import time
from collections.abc import Callable, Mapping
from typing import Any

from eng.dist import broadcast_object_list, get_world_size

__all__ = ["TimedInterval", "as_timed_interval"]


class TimedInterval:
    """A time interval of training, for example between two checkpoints.

    Only rank 0 reads the clock. It broadcasts whether the interval is over, so that all ranks end the interval at the
    same iteration. After each broadcast the next one follows when about half of the remaining time has passed,
    estimated from the iterations per second so far, so that an interval of minutes needs only a few broadcasts.

    Args:
        seconds: length of the interval in seconds.
        clock: function that returns the time of a monotonic clock in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self.begin(0)

    def begin(self, iteration: int, elapsed: float = 0.0) -> None:
        """Starts the interval at the present time of the clock.

        Args:
            iteration: number of completed training iterations.
            elapsed: seconds of the interval that passed before the run was interrupted; 0 (default) for a new interval.
        """
        self._first = self._next_look = iteration
        self._since = self._clock() - elapsed
        self._elapsed_before = elapsed
        self._decided: tuple[int, bool] = (-1, False)

    @property
    def elapsed(self) -> float:
        """Seconds since the interval began, including those before an interruption of the run."""
        return self._clock() - self._since

    def is_over(self, iteration: int) -> bool:
        """Whether the interval is over after ``iteration`` completed iterations.

        Repeated calls for the same iteration return the same answer. All ranks must call the method for the same
        iterations, because a call may broadcast.
        """
        if iteration == self._decided[0]:
            return self._decided[1]
        if iteration < self._next_look:
            return False
        elapsed = self.elapsed
        rate = (iteration - self._first) / max(elapsed - self._elapsed_before, 1e-9)
        # Two answers: whether the interval is over, and after how many iterations to read the clock again (when half of
        # the remaining time will have passed).
        answer = [elapsed >= self.seconds, max(1, int((self.seconds - elapsed) / 2 * rate))]
        if get_world_size() > 1:
            broadcast_object_list(answer, src=0)
        self._next_look = iteration + int(answer[1])
        self._decided = (iteration, bool(answer[0]))
        return self._decided[1]


def as_timed_interval(name: str, value: Any) -> TimedInterval | None:
    """Converts a setting such as ``dict(minutes=20)`` to an interval; None if ``value`` is not a mapping, but a count.

    Args:
        name: name of the setting, for error messages.
        value: value of the setting.

    Raises:
        ValueError: ``value`` is a mapping other than ``dict(minutes=N)`` with a finite N above 0.
    """
    if not isinstance(value, Mapping):
        return None
    minutes: Any = value.get("minutes")
    is_number = isinstance(minutes, numbers.Real) and not isinstance(minutes, bool)
    if set(value) != {"minutes"} or not is_number or not 0 < float(minutes) < float("inf"):
        raise ValueError(f"{name} must be dict(minutes=N) with N above 0, got {dict(value)!r}")
    return TimedInterval(60.0 * float(minutes))
