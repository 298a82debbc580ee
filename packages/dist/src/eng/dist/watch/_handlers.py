"""Handlers of the watch: an exception hook that reports this rank's failure, and a signal to interrupt the main thread."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Protocol

# The signal by which the watch interrupts the main thread. SIGURG was chosen because processes ignore it by default and
# hardly any program uses it.
WAKE = signal.SIGURG


class Watcher(Protocol):
    """The methods of the watch that its exception hook and its signal handler call."""

    def stop(self) -> None:
        """Stops the watch of this rank; no failure is reported to the other ranks."""

    def publish(self, error: BaseException) -> None:
        """Reports to the other ranks that this rank failed."""

    def raise_once(self) -> None:
        """Raises the known failure of another rank, unless it has been raised before."""


class FaultHook:
    """Replacement of `sys.excepthook` that prints an uncaught exception as before and reports it to the other ranks.

    A KeyboardInterrupt is printed, but not reported.
    """

    def __init__(self, watch: Watcher) -> None:
        self.before, self.watch = sys.excepthook, watch

    @staticmethod
    def install(watch: Watcher) -> None:
        """Installs the exception hook, which reports exceptions that end the program to `watch`.

        If a hook is installed already, its watch is stopped and replaced by `watch`.
        """
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
    """Handler of SIGURG that raises, in the main thread, the failure of another rank that the watch knows."""

    def __init__(self, watch: Watcher) -> None:
        self.before, self.watch = signal.getsignal(WAKE), watch

    @staticmethod
    def install(watch: Watcher) -> bool:
        """Installs the signal handler for `watch` and returns True.

        Python allows signal handlers to be installed only in the main thread; in other threads the result is False.
        """
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
    """Sends SIGURG to the main thread: a blocking system call such as sleep is interrupted, and the handler runs."""
    ident = threading.main_thread().ident
    assert ident is not None  # A started thread has an identifier.
    signal.pthread_kill(ident, WAKE)
