"""What collectives know of the watch: whether the group has one, and the blocks in which it sees them wait."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Protocol

import torch.distributed as torch_dist

from eng.dist._per_group import PerGroup


class Watching(Protocol):
    """The watch of a process group, as collectives use it.

    Attributes:
        store: the job's key-value store.
        waiting: the collective or watched block that the main thread is in, and since when on the monotonic clock.
    """

    store: Any
    waiting: tuple[str, float] | None

    def raise_if_failed(self) -> None:
        """Raises the failure of another rank, if there is one."""

    def fault_behind(self, error: RuntimeError) -> Exception | None:
        """The failure of another rank that broke this rank's connection; None where `error` is something else."""

    def has_left(self, rank: int) -> bool:
        """Whether another rank has ended in good order."""

    def publish(self, error: BaseException) -> None:
        """Tells the other ranks that this rank failed."""


WATCHES: PerGroup[Watching] = PerGroup()


def current_watch() -> Watching | None:
    """The watch of the present process group; None where there is none."""
    if not torch_dist.is_initialized() or torch_dist.group.WORLD is None:
        return None
    return WATCHES.get(torch_dist.group.WORLD)


class Wait:
    """A block in which the main thread waits for other ranks, called `name` in reports.

    A connection that breaks in it becomes the failure of the rank behind it. It is around every collective, where a
    generator would cost a microsecond more.

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
            if fault is not None and fault is not error:  # a block in this one has raised it
                raise fault from error
        finally:
            self._watch.waiting = self._before


def watched(name: str) -> contextlib.AbstractContextManager[None]:
    """Watches a block in which torch itself waits for other ranks, such as a backward that averages gradients.

    The collectives of this package are watched already. A block that takes longer than the budget of the watch makes
    every rank report its stack, and a connection that breaks in it becomes the failure of the rank behind it. It costs
    about a microsecond; where there is no watch it does nothing.

    Args:
        name: of the block, in reports.

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
    """Tells the other ranks of an exception that leaves the block, and passes it on.

    The watch (:func:`eng.dist.start_watch`) tells them of an exception that ends the program without it. It is for
    programs that catch their exceptions at the top, as ``torch.multiprocessing.spawn`` does, and for ``sys.exit`` with
    an error status.

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
