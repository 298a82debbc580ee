"""Replaces ``mmengine.utils.dl_utils.time_counter``: measures the time of functions and blocks."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar


class TimeCounter:
    """Measures how long a function or a ``with`` block takes, and prints the mean over all measured runs.

    Args:
        log_interval: a line is printed after every `log_interval` runs.
        warmup_interval: number of the first run, from 1, that is measured; earlier runs are warm-up.
        with_sync: whether to wait until the GPU has finished its work before the time is read.
        tag: name of the function or block; runs with the same tag are averaged. The default for a function is the name
            of the function.
        logger: logger that writes the lines; None prints them.

    Raises:
        ValueError: used as a context manager without a tag.
    """

    names: ClassVar[dict[str, TimeCounter]] = {}

    def __new__(
        cls,
        log_interval: int = 1,
        warmup_interval: int = 1,
        with_sync: bool = True,
        tag: str | None = None,
        logger: logging.Logger | None = None,
    ) -> TimeCounter:
        """Returns the existing counter with this tag, or a new one."""
        if tag is not None and tag in cls.names:
            return cls.names[tag]
        counter = super().__new__(cls)
        counter.log_interval, counter.warmup_interval = log_interval, warmup_interval
        counter.with_sync = with_sync
        counter.tag, counter.logger = tag, logger
        counter.runs, counter.seconds = 0, 0.0
        if tag is not None:
            cls.names[tag] = counter
        return counter

    log_interval: int
    warmup_interval: int
    with_sync: bool
    tag: str | None
    logger: logging.Logger | None
    runs: int
    seconds: float

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorates a function, so that the time of every call is measured."""
        if self.tag is None:
            self.tag = fn.__name__
            self.names[self.tag] = self

        @functools.wraps(fn)
        def counted(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return counted

    def __enter__(self) -> None:
        if self.tag is None:
            raise ValueError("TimeCounter: give a tag to count a block, as in TimeCounter(tag='forward')")
        self._started = self._now()

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self.runs += 1
        if self.runs >= self.warmup_interval:
            self.print_time(self._now() - self._started)

    def _now(self) -> float:
        if self.with_sync:
            from eng.device import synchronize

            synchronize()
        return time.perf_counter()

    def print_time(self, elapsed: float) -> None:
        """Adds a measured run of `elapsed` seconds; after every `log_interval` runs, prints the mean time of a run."""
        self.seconds += elapsed
        counted = self.runs - max(self.warmup_interval - 1, 0)
        if self.runs % self.log_interval:
            return
        mean_ms = self.seconds / max(counted, 1) * 1000
        text = f"[{self.tag}]-mean of {counted} runs: {mean_ms:.1f} ms"
        if self.logger is None:
            print(text)  # noqa: T201  # printing is the purpose of the class
        else:
            self.logger.info(text)
