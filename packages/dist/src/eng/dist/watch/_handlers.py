"""How the watch hears of this rank's own failures and reaches the main thread: both installed once in a process."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Protocol

# Its default action is to do nothing, and nobody else uses it: safe to borrow for waking the main thread.
WAKE = signal.SIGURG


class Watcher(Protocol):
    """The watch, as its handlers use it."""

    def stop(self) -> None:
        """Leaves the watch in good order."""

    def publish(self, error: BaseException) -> None:
        """Tells the other ranks that this rank failed."""

    def raise_once(self) -> None:
        """Raises the failure that the watch knows, unless it was raised already."""


class FaultHook:
    """`sys.excepthook` that tells the other ranks too."""

    def __init__(self, watch: Watcher) -> None:
        self.before, self.watch = sys.excepthook, watch

    @staticmethod
    def install(watch: Watcher) -> None:
        """From now on `watch` hears of an exception that ends the program; the one before it ends."""
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
    """Signal handler that raises in the main thread what the watch knows."""

    def __init__(self, watch: Watcher) -> None:
        self.before, self.watch = signal.getsignal(WAKE), watch

    @staticmethod
    def install(watch: Watcher) -> bool:
        """From now on the signal raises the failure that `watch` knows; False where no handler can be installed."""
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
    """Runs the handler in the main thread, also where that sleeps."""
    ident = threading.main_thread().ident
    assert ident is not None  # it runs
    signal.pthread_kill(ident, WAKE)
