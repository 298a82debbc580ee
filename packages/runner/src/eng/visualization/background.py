"""BackgroundWriter: calls a tracker from a separate thread, so that a slow or failing tracker does not stop a run."""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ._base import BaseVisBackend

__all__ = ["BackgroundWriter", "Patience"]

_LOGGER = logging.getLogger(__name__)
Call = tuple[str, tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Patience:
    """Limits after which a slow or failing experiment tracker is no longer used.

    Args:
        max_waiting: maximum number of queued calls. If a tracker hangs, the queue fills up and the tracker is dropped.
        max_attempts: attempts of one call before the tracker is dropped.
        first_pause: seconds before the second attempt; each further pause is twice as long.
        longest_pause: maximum seconds between two attempts.
        seconds_at_close: seconds for which the end of a run waits for queued calls.
    """

    max_waiting: int = 10_000
    max_attempts: int = 5
    first_pause: float = 0.5
    longest_pause: float = 30.0
    seconds_at_close: float = 15.0


class BackgroundWriter:
    """Calls the methods of an experiment tracker from a separate thread, in the order in which they were queued.

    A call that raises is repeated after a pause, and the first failure is logged. After ``max_attempts`` failures, or
    when the queue is full because the tracker hangs, the tracker is dropped: for the rest of the run, queued and new
    calls are discarded. A warning says how to write the data to the tracker later, from the local file of scalars.

    Args:
        name: name of the tracker, for messages.
        backend: the tracker.
        patience: the limits after which the tracker is dropped.
    """

    def __init__(self, name: str, backend: BaseVisBackend, patience: Patience | None = None) -> None:
        self.name = name
        self.backend = backend
        self.patience = patience or Patience()
        self.is_dropped = False
        self._calls: queue.Queue[Call | None] = queue.Queue(self.patience.max_waiting)
        self._is_ending = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Queues a call of the tracker's method `method`, and returns without waiting for the call."""
        if self.is_dropped:
            return
        if self._thread is None:
            self._start()
        try:
            self._calls.put_nowait((method, tuple(map(snapshot, args)), kwargs))
        except queue.Full:
            self._drop(f"{self.patience.max_waiting} calls wait for it, so it must be hanging")

    def close(self) -> None:
        """Waits until the queued calls are made and the tracker is closed, but at most ``seconds_at_close``."""
        thread = self.abandon()
        if thread is None:
            # No call was queued since the last `close`, so there is no thread to wait for.
            return
        thread.join(self.patience.seconds_at_close)
        if thread.is_alive() and not self.is_dropped:
            self._drop(f"it was still busy {self.patience.seconds_at_close:.0f} s after the end of the run")

    def abandon(self) -> threading.Thread | None:
        """Queues the end of the thread, and returns without waiting: after the queued calls the tracker is closed.

        Returns:
            The thread; None if it was not started, because nothing was written.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return None
        self._is_ending.set()
        last: tuple[Call | None, ...] = (("close", (), {}), None)
        for call in last:
            # A full queue means that the tracker hangs. The two calls that end it and its thread are then left out: the
            # thread does not end, and `close` reports that.
            with contextlib.suppress(queue.Full):
                self._calls.put_nowait(call)
        return thread

    def _start(self) -> None:
        self._is_ending.clear()
        # The thread is a daemon, because a tracker that hangs must not prevent the process from ending.
        self._thread = threading.Thread(target=self._work, name=f"eng-tracker-{self.name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            method, args, kwargs = call
            if not self.is_dropped:
                self._attempt(functools.partial(getattr(self.backend, method), *args, **kwargs), method)

    def _attempt(self, call: Callable[[], Any], method: str) -> None:
        """Makes a queued call of the tracker; a call that fails is repeated after growing pauses.

        After the last attempt the tracker is dropped for the rest of the run.

        Args:
            call: the call, without arguments.
            method: name of the called method, for messages.
        """
        pause = self.patience.first_pause
        for attempt in range(1, self.patience.max_attempts + 1):
            try:
                call()
                return
            except ImportError as error:
                # The tracker's library is not installed, so another attempt cannot succeed.
                self._drop(str(error))
                return
            except Exception as error:  # noqa: BLE001  # No error of a tracker may end the run.
                if attempt == 1:
                    _LOGGER.warning("the tracker %s failed in %s and is tried again: %r", self.name, method, error)
                if attempt == self.patience.max_attempts:
                    self._drop(f"{method} failed {attempt} times, last with {error!r}")
                    return
            # When the run ends, the pauses between attempts are skipped, and a failing call gets only one more attempt.
            if self._is_ending.wait(pause) and attempt > 1:
                self._drop(f"{method} kept failing until the run was over")
                return
            pause = min(pause * 2, self.patience.longest_pause)

    def _drop(self, reason: str) -> None:
        """Stops the use of the tracker for the rest of the run, and logs why."""
        self.is_dropped = True
        _LOGGER.warning(
            "the tracker %s is dropped for the rest of this run: %s. Its scalars are in the run's local JSON lines; "
            "`eng sync WORK_DIR` writes them to a tracker later",
            self.name,
            reason,
        )

    def wait(self, seconds: float = 10.0) -> bool:
        """Waits until the queue is empty; returns False if that takes longer than ``seconds``."""
        deadline = time.monotonic() + seconds
        while not self._calls.empty() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._calls.empty()


def snapshot(value: Any) -> Any:
    """Copies an argument of a queued call: the caller may change a tensor, array or dict before the call is made.

    Values of other types are returned unchanged.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) is dict:
        return {key: snapshot(item) for key, item in value.items()}
    return value
