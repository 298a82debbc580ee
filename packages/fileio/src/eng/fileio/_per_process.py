"""A client that every process makes for itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerProcess"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds one lazily made value per process.

    After a fork the child makes its own; what it inherited is kept but never used or closed, as closing it could end
    the parent's connection (a client for which that is wrong gives `discard`). Pickling carries nothing.
    """

    def __init__(self) -> None:
        self._made: dict[int, T] = {}
        self._locks: dict[int, threading.Lock] = {}

    def get(self, make: Callable[[], T], discard: Callable[[T], None] | None = None) -> T:
        """This process's value, made by `make` on first use (once, whatever the number of threads)."""
        pid = os.getpid()
        try:
            return self._made[pid]
        except KeyError:
            # A lock of its own for each process: one held by a thread of the parent never opens in the child.
            with self._locks.setdefault(pid, threading.Lock()):
                if pid not in self._made:
                    if discard is not None:
                        for inherited in self._made.values():
                            discard(inherited)
                    self._made[pid] = make()
            return self._made[pid]

    def __reduce__(self) -> tuple[type[PerProcess[T]], tuple[()]]:
        return type(self), ()
