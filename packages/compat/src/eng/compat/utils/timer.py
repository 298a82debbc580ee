"""Replaces ``mmengine.utils.timer``: a stopwatch."""

from __future__ import annotations

import time
from typing import Any


class TimerError(Exception):
    """A method of a `Timer` was called before the timer was started."""


class Timer:
    """A stopwatch, which can also be used as a context manager.

    Args:
        start: whether to start the timer immediately.
        print_tmpl: format in which a ``with`` block prints its duration in seconds, ``"{:.3f}"`` by default.

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
        """Whether the timer was started."""
        return self._is_running

    def __enter__(self) -> Timer:
        self.start()
        return self

    def __exit__(self, type: Any, value: Any, traceback: Any) -> None:
        print(self.print_tmpl.format(self.since_last_check()))  # noqa: T201  # printing is the purpose of the class
        self._is_running = False

    def start(self) -> None:
        """Starts the timer; if it is running, only the time of the last check is reset."""
        if not self._is_running:
            self._started = time.perf_counter()
            self._is_running = True
        self._checked = time.perf_counter()

    def since_start(self) -> float:
        """Returns the seconds since the start; the call counts as a check for `since_last_check`.

        Raises:
            TimerError: the timer was not started.
        """
        self._must_run()
        self._checked = time.perf_counter()
        return self._checked - self._started

    def since_last_check(self) -> float:
        """Returns the seconds since the last check (call of this method or `since_start`), or since the start.

        Raises:
            TimerError: the timer was not started.
        """
        self._must_run()
        before, self._checked = self._checked, time.perf_counter()
        return self._checked - before

    def _must_run(self) -> None:
        if not self._is_running:
            raise TimerError("this timer is not running: call start() first")


_timers: dict[str, Timer] = {}


def check_time(timer_id: str) -> float:
    """Returns the seconds since the last call with the same `timer_id`; 0 at the first call."""
    if timer_id not in _timers:
        _timers[timer_id] = Timer()
        return 0
    return _timers[timer_id].since_last_check()
