"""Handlers of the watch: an exception hook that reports this rank's failure, and a signal to interrupt the main thread."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Protocol

# The watch interrupts the main thread by this signal: its default action is to do nothing, and hardly any program uses it.
WAKE = signal.SIGURG


class Watcher(Protocol):
    """The methods of the watch that its handlers call."""

    def stop(self) -> None:
        """Stops the watch of this rank without a failure."""

    def publish(self, error: BaseException) -> None:
        """Reports to the other ranks that this rank failed."""

    def raise_once(self) -> None:
        """Raises the known failure of another rank, unless it has been raised before."""


class FaultHook:
    """Replacement of `sys.excepthook` that also reports the exception to the other ranks."""

    def __init__(self, watch: Watcher) -> None:
        self.before, self.watch = sys.excepthook, watch

    @staticmethod
    def install(watch: Watcher) -> None:
        """Makes exceptions that end the program known to `watch`; an earlier watch is stopped."""
        if isinstance(sys.excepthook, FaultHook):
            sys.excepthook.watch.stop()
            sys.excepthook.watch = watch
        else:
            sys.excepthook = FaultHook(watch)

    def __call__(self, error_class: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.before(error_class, error, trace)
        if not isinstance(error, KeyboardInterrupt):
            self.watch.publish(error)


class WakeHandler:
    """Signal handler that raises the failure of another rank in the main thread."""

    def __init__(self, watch: Watcher) -> None:
        self.before, self.watch = signal.getsignal(WAKE), watch

    @staticmethod
    def install(watch: Watcher) -> bool:
        """Installs the handler for `watch`; returns False outside the main thread, where Python does not allow it."""
        if threading.current_thread() is not threading.main_thread():
            return False
        handler = signal.getsignal(WAKE)
        if isinstance(handler, WakeHandler):
            handler.watch = watch
        else:
            signal.signal(WAKE, WakeHandler(watch))
        return True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.watch.raise_once()
        if callable(self.before):
            self.before(number, frame)


def wake_main_thread() -> None:
    """Sends the signal to the main thread, which interrupts a system call such as sleep and runs the handler."""
    ident = threading.main_thread().ident
    assert ident is not None  # A started thread has an identifier.
    signal.pthread_kill(ident, WAKE)
