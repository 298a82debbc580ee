"""PartClock: measures how the time of a run divides into data loading, forward, backward, step, hooks and so on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from .progress import clock

__all__ = [
    "BACKWARD",
    "DATA",
    "FORWARD",
    "HOOKS",
    "OTHER",
    "PARTS",
    "SAVING",
    "STEP",
    "VALIDATION",
    "PartClock",
    "charged",
]

PARTS = ("data", "forward", "backward", "step", "hooks", "validation", "saving", "other")
DATA, FORWARD, BACKWARD, STEP, HOOKS, VALIDATION, SAVING, OTHER = range(len(PARTS))


class PartClock:
    """A clock that adds the elapsed time of this process to the current part of a training iteration.

    The clock does not wait for an accelerator. Asynchronous work of the device counts for the part in which the process
    waits for its result.

    Example:
        >>> times = PartClock()
        >>> times.switch(DATA) == OTHER, times.switch(OTHER) == DATA
        (True, True)
        >>> sum(times.seconds) == times.total
        True
    """

    __slots__ = ("_last", "part", "seconds")

    def __init__(self) -> None:
        self.seconds = [0.0] * len(PARTS)
        self.part = OTHER
        self._last = perf_counter()

    def switch(self, part: int) -> int:
        """Adds the time since the last switch to the current part, makes ``part`` current and returns the former."""
        now = perf_counter()
        previous = self.part
        self.seconds[previous] += now - self._last
        self._last = now
        self.part = part
        return previous

    @property
    def total(self) -> float:
        """Sum of the seconds of all parts."""
        return sum(self.seconds)

    def table(self) -> str:
        """Returns a table with a line per part: its seconds and its share of the time; parts below 0.05 % are left out."""
        total = self.total or 1.0
        rows = [(PARTS[part], seconds) for part, seconds in enumerate(self.seconds) if seconds >= total * 5e-4]
        lines = (f"  {name:<10} {_seconds(seconds):>10} {seconds / total:>6.1%}" for name, seconds in rows)
        return "\n".join([f"Time per part ({clock(self.total)} in all):", *lines])


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s"
    return clock(seconds)


@contextmanager
def charged(times: PartClock | None, part: int) -> Iterator[None]:
    """Makes the clock ``times`` add the time of the ``with`` block to ``part``.

    After the block the clock continues with the part that was current before. Nothing happens if ``times`` is None.
    """
    if times is None:
        yield
        return
    previous = times.switch(part)
    try:
        yield
    finally:
        times.switch(previous)
