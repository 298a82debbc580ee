"""A value, such as the client of a storage, that every process creates for itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerProcess"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds a value that each process creates for itself at its first use.

    After a fork, the child process creates its own value. The value inherited from the parent process is neither used
    nor closed, because closing a client in the child could end the connection of the parent. Where the inherited value
    must be closed nevertheless, `get` takes a function `discard`. A pickled instance contains no value.
    """

    def __init__(self) -> None:
        self._made: dict[int, T] = {}
        self._locks: dict[int, threading.Lock] = {}

    def get(self, make: Callable[[], T], discard: Callable[[T], None] | None = None) -> T:
        """Returns the value of this process; the first call creates it.

        If several threads call at the same time, only one of them creates the value.

        Args:
            make: creates the value.
            discard: called in a forked child process, before the new value is created, with each value inherited from
                the parent. None leaves inherited values open.
        """
        pid = os.getpid()
        try:
            return self._made[pid]
        except KeyError:
            # Each process needs its own lock: a lock that a thread of the parent held during the fork stays locked
            # forever in the child.
            with self._locks.setdefault(pid, threading.Lock()):
                if pid not in self._made:
                    if discard is not None:
                        for inherited in self._made.values():
                            discard(inherited)
                    self._made[pid] = make()
            return self._made[pid]

    def __reduce__(self) -> tuple[type[PerProcess[T]], tuple[()]]:
        return type(self), ()
