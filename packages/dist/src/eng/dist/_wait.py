"""Waiting for other ranks under the eyes of a watch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eng.dist._watch import Watch


class Wait:
    """A block in which the main thread waits for other ranks, told in reports as `name`.

    A connection that breaks in it becomes the failure of the rank behind it. It is around every collective, where a
    generator would cost a microsecond more.

    Raises:
        PeerFailedError: another rank failed.
    """

    __slots__ = ("_before", "_name", "_watch")

    def __init__(self, watch: Watch, name: str) -> None:
        self._watch, self._name = watch, name

    def __enter__(self) -> None:
        self._watch.raise_if_failed()
        self._before, self._watch.waiting = self._watch.waiting, (self._name, time.monotonic())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            fault = self._watch.fault_behind(error) if isinstance(error, RuntimeError) else None
            if fault is not None and fault is not error:  # a block in this one has raised it
                raise fault from error
        finally:
            self._watch.waiting = self._before
