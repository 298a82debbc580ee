"""The interface between collectives and the watch: whether the process group has a watch, and what the rank waits for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Protocol

import torch.distributed as torch_dist

from eng.dist._per_group import PerGroup


class Watching(Protocol):
    """Interface of the watch, which exchanges failures between ranks, as far as collectives use it.

    Attributes:
        store: the job's key-value store.
        waiting: name of the collective or watched block in which the main thread waits, and its start time on the
            monotonic clock; None if the main thread does not wait.
    """

    store: Any
    waiting: tuple[str, float] | None

    def raise_if_failed(self) -> None:
        """Raises the failure of another rank, if one is known."""

    def fault_behind(self, error: RuntimeError) -> Exception | None:
        """Returns the failure of another rank that caused a broken connection; None if `error` has another cause."""

    def has_left(self, rank: int) -> bool:
        """Whether another rank has ended regularly, without a failure."""

    def publish(self, error: BaseException) -> None:
        """Reports to the other ranks that this rank failed."""


WATCHES: PerGroup[Watching] = PerGroup()


def current_watch() -> Watching | None:
    """Returns the watch of the current process group; None if there is no process group or no watch."""
    if not torch_dist.is_initialized() or torch_dist.group.WORLD is None:
        return None
    return WATCHES.get(torch_dist.group.WORLD)


class Wait:
    """Context manager around code that waits for other ranks; `name` names this code in reports of the watch.

    If the connection to another rank breaks inside the block because that rank failed, a `PeerFailedError` with its
    traceback is raised instead of the connection error. A class is a microsecond faster than a generator function,
    which matters because every collective runs inside this context manager.

    Raises:
        PeerFailedError: another rank failed.
    """

    __slots__ = ("_before", "_name", "_watch")

    def __init__(self, watch: Watching, name: str) -> None:
        self._watch, self._name = watch, name

    def __enter__(self) -> None:
        self._watch.raise_if_failed()
        self._before, self._watch.waiting = self._watch.waiting, (self._name, time.monotonic())

    def __exit__(self, error_class: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            fault = self._watch.fault_behind(error) if isinstance(error, RuntimeError) else None
            if fault is not None and fault is not error:  # A nested Wait block may already have raised this failure.
                raise fault from error
        finally:
            self._watch.waiting = self._before


def watched(name: str) -> contextlib.AbstractContextManager[None]:
    """Returns a context manager for code in which torch waits for other ranks, such as a backward pass with DDP.

    The collectives of `eng.dist` need no such block. If the block takes longer than the time limit of the watch
    (``budget_s`` of :func:`eng.dist.start_watch`), the stacks of all ranks are logged. If the connection to a rank
    breaks inside the block, the failure of that rank is raised. The block costs about a microsecond; without a watch it
    does nothing.

    Args:
        name: name of the block in log messages of the watch.

    Raises:
        PeerFailedError: another rank failed.

    Example:
        >>> with watched("the training step"):
        ...     step = 1 + 1
    """
    watch = current_watch()
    return contextlib.nullcontext() if watch is None else Wait(watch, name)


@contextlib.contextmanager
def share_faults() -> Iterator[None]:
    """Reports an exception that leaves the ``with`` block to the other ranks, and re-raises it.

    The watch (:func:`eng.dist.start_watch`) reports uncaught exceptions by itself. This context manager is needed in
    programs that catch all exceptions at the top level, as ``torch.multiprocessing.spawn`` does, or that call
    ``sys.exit`` with an error status.

    Raises:
        PeerFailedError: another rank failed.

    Example:
        >>> with share_faults():
        ...     step = 1 + 1
    """
    try:
        yield
    except BaseException as error:
        watch = current_watch()
        orderly = isinstance(error, SystemExit) and error.code in (None, 0)
        if watch is not None and not orderly:
            watch.publish(error)
        raise
