"""A tracker behind a queue: writing to it never stops a run and never slows one down."""

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
    """How much a run puts up with from a tracker.

    Args:
        max_waiting: calls that may wait; a tracker that hangs fills them up and is dropped.
        max_attempts: tries of one call before the tracker is dropped.
        first_pause: seconds before the second try; each further pause is twice as long.
        longest_pause: seconds, at most, between two tries.
        seconds_at_close: how long the end of a run waits for what is still queued.
    """

    max_waiting: int = 10_000
    max_attempts: int = 5
    first_pause: float = 0.5
    longest_pause: float = 30.0
    seconds_at_close: float = 15.0


class BackgroundWriter:
    """Passes calls on to a tracker, in their order, from a thread of its own.

    A call that raises is tried again after a pause. The first failure is logged; after `max_attempts`, or where so many
    calls wait that the tracker must be hanging, it is dropped for the rest of the run, with one line that says how to
    make up for it. What was queued before is then forgotten: the local JSON lines hold all of it.

    Args:
        name: of the tracker, for messages.
        backend: the tracker.
        patience: how much to put up with.
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
        """Queues a call; returns at once, whatever the tracker does."""
        if self.is_dropped:
            return
        if self._thread is None:
            self._start()
        try:
            self._calls.put_nowait((method, tuple(map(snapshot, args)), kwargs))
        except queue.Full:
            self._drop(f"{self.patience.max_waiting} calls wait for it, so it must be hanging")

    def close(self) -> None:
        """Waits for what is queued, for a limited time, and closes the tracker."""
        thread = self.abandon()
        if thread is None:
            return  # nothing was written, or it is closed
        thread.join(self.patience.seconds_at_close)
        if thread.is_alive() and not self.is_dropped:
            self._drop(f"it was still busy {self.patience.seconds_at_close:.0f} s after the end of the run")

    def abandon(self) -> threading.Thread | None:
        """Lets the tracker be closed, and the thread end, once what is queued was written.

        Returns:
            The thread; None where there is none.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return None
        self._is_ending.set()
        last: tuple[Call | None, ...] = (("close", (), {}), None)
        for call in last:
            with contextlib.suppress(queue.Full):  # full: it hangs, and the join of `close` says so
                self._calls.put_nowait(call)
        return thread

    def _start(self) -> None:
        self._is_ending.clear()
        # A daemon: a tracker that hangs for an hour must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name=f"eng-tracker-{self.name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            method, args, kwargs = call
            if not self.is_dropped:
                self._attempt(functools.partial(getattr(self.backend, method), *args, **kwargs), method)

    def _attempt(self, call: Callable[[], Any], method: str) -> None:
        """Makes one call to a tracker, again after growing pauses, and drops the tracker when all attempts failed."""
        pause = self.patience.first_pause
        for attempt in range(1, self.patience.max_attempts + 1):
            try:
                call()
                return
            except ImportError as error:  # trying again installs nothing
                self._drop(str(error))
                return
            except Exception as error:  # noqa: BLE001  # whatever a tracker raises, the run goes on
                if attempt == 1:
                    _LOGGER.warning("the tracker %s failed in %s and is tried again: %r", self.name, method, error)
                if attempt == self.patience.max_attempts:
                    self._drop(f"{method} failed {attempt} times, last with {error!r}")
                    return
            if self._is_ending.wait(pause) and attempt > 1:  # at the end of a run one quick second try is enough
                self._drop(f"{method} kept failing until the run was over")
                return
            pause = min(pause * 2, self.patience.longest_pause)

    def _drop(self, reason: str) -> None:
        self.is_dropped = True
        _LOGGER.warning(
            "the tracker %s is dropped for the rest of this run: %s. Its scalars are in the run's local JSON lines; "
            "`eng sync WORK_DIR` writes them to a tracker later",
            self.name,
            reason,
        )

    def wait(self, seconds: float = 10.0) -> bool:
        """Waits until nothing is queued; False where that takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while not self._calls.empty() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._calls.empty()


def snapshot(value: Any) -> Any:
    """The value as it is now: what waits in a queue must not change with the array or the dict that was given."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    return {key: snapshot(item) for key, item in value.items()} if type(value) is dict else value
