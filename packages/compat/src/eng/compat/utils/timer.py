"""``mmengine.utils.timer``."""

from __future__ import annotations

import time
from typing import Any


class TimerError(Exception):
    """A timer was asked for a time before it was started."""


class Timer:
    """A stop-watch, also as a context manager.

    Args:
        start: start at once.
        print_tmpl: how `with` prints the seconds, ``"{:.3f}"`` by default.

    Example:
        >>> with Timer(print_tmpl="done in {:.0f} s"):
        ...     pass
        done in 0 s
    """

    def __init__(self, start: bool = True, print_tmpl: str | None = None) -> None:
        self._is_running = False
        self.print_tmpl = print_tmpl or "{:.3f}"
        if start:
            self.start()

    @property
    def is_running(self) -> bool:
        """Whether it was started."""
        return self._is_running

    def __enter__(self) -> Timer:
        self.start()
        return self

    def __exit__(self, type: Any, value: Any, traceback: Any) -> None:
        print(self.print_tmpl.format(self.since_last_check()))  # noqa: T201  # printing is what it is for
        self._is_running = False

    def start(self) -> None:
        """Starts, or starts anew."""
        if not self._is_running:
            self._started = time.perf_counter()
            self._is_running = True
        self._checked = time.perf_counter()

    def since_start(self) -> float:
        """Seconds since the start; also a check.

        Raises:
            TimerError: it is not running.
        """
        self._must_run()
        self._checked = time.perf_counter()
        return self._checked - self._started

    def since_last_check(self) -> float:
        """Seconds since the last check, or since the start.

        Raises:
            TimerError: it is not running.
        """
        self._must_run()
        before, self._checked = self._checked, time.perf_counter()
        return self._checked - before

    def _must_run(self) -> None:
        if not self._is_running:
            raise TimerError("this timer is not running: call start() first")


_timers: dict[str, Timer] = {}


def check_time(timer_id: str) -> float:
    """Seconds since the last call with this name; 0 at the first."""
    if timer_id not in _timers:
        _timers[timer_id] = Timer()
        return 0
    return _timers[timer_id].since_last_check()
