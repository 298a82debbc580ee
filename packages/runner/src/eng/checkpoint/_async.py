"""Writing checkpoints beside training."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from ._snapshot import SnapshotBuffers
from ._write import save_checkpoint

__all__ = ["AsyncCheckpointWriter"]

_LOGGER = logging.getLogger(__name__)


class AsyncCheckpointWriter:
    """Takes a snapshot of a checkpoint at once and writes it in a thread.

    :meth:`save` returns as soon as nothing that training does can change what will be written. At most one write is
    under way: a save that comes earlier waits for it. A write that failed is logged at once and raised by the next call
    of :meth:`save`, :meth:`wait` or :meth:`close`, so that it is never silent.

    Args:
        write: writes a checkpoint to a name; :func:`save_checkpoint` by default.

    Examples:
        >>> import tempfile, torch
        >>> path = tempfile.mkdtemp() + "/epoch_1.pth"
        >>> weights = torch.ones(2)
        >>> with AsyncCheckpointWriter() as writer:
        ...     writer.save({"state_dict": {"w": weights}}, path)
        ...     _ = weights.zero_()
        >>> torch.load(path)["state_dict"]["w"]
        tensor([1., 1.])
    """

    def __init__(self, write: Callable[..., None] = save_checkpoint) -> None:
        self._write = write
        self._buffers = SnapshotBuffers()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def save(
        self,
        checkpoint: dict[str, Any],
        filename: str | Path,
        *,
        backend_args: dict[str, Any] | None = None,
        on_committed: Callable[[str], None] | None = None,
    ) -> None:
        """Takes the snapshot and starts writing.

        Args:
            checkpoint: see :func:`save_checkpoint`.
            filename: path or address.
            backend_args: for the storage backend.
            on_committed: called in the writing thread with the name when the file is whole, for example to move the
                pointer and to remove old checkpoints.

        Raises:
            Exception: what the write before failed with.
        """
        self.wait()
        snapshot = self._buffers.take(checkpoint)

        def write() -> None:
            self._buffers.wait()
            self._write(snapshot, str(filename), backend_args=backend_args)
            if on_committed is not None:
                on_committed(str(filename))

        self._start(f"writing the checkpoint {filename}", write)

    def prepare(self, checkpoint: dict[str, Any]) -> None:
        """Gets the memory for snapshots ready beside training, so that the first save is as short as the others.

        Args:
            checkpoint: like those that will be saved; it must not change its structure meanwhile.

        Raises:
            Exception: what a write before failed with.
        """
        self.wait()
        self._start("getting memory for snapshots", lambda: self._buffers.take(checkpoint))

    @property
    def is_busy(self) -> bool:
        """Whether a write is under way."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self) -> None:
        """Returns when nothing is under way.

        Raises:
            Exception: what the write failed with; once.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Waits as :meth:`wait` does and gives the memory of the snapshot back."""
        try:
            self.wait()
        finally:
            self._buffers = SnapshotBuffers()

    def __enter__(self) -> AsyncCheckpointWriter:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, task: str, action: Callable[[], object]) -> None:
        # Not a daemon thread, so that the interpreter waits at its exit until the file is written.
        self._thread = threading.Thread(target=self._run, args=(task, action), name="eng-checkpoint-writer")
        self._thread.start()

    def _run(self, task: str, action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that saves
            _LOGGER.error("%s beside training failed: %s", task, error)
            self._failure = error
