"""AsyncCheckpointWriter: writes checkpoints in a thread while training continues."""

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
    """Writes checkpoints in a thread while training continues.

    :meth:`save` copies the checkpoint in memory and returns. The thread writes the copy, so weights that training
    changes afterwards do not get into the file. Only one write runs at a time: a second :meth:`save` waits for the
    first write to end. An error in the thread is logged at once, and raised by the next call of :meth:`save`,
    :meth:`wait` or :meth:`close`.

    Args:
        write: function that writes a checkpoint to a file. Defaults to :func:`save_checkpoint`.

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
        """Copies the checkpoint and starts writing the copy in a thread.

        Args:
            checkpoint: see :func:`save_checkpoint`.
            filename: path or address of the file.
            backend_args: arguments of the storage backend.
            on_committed: called in the writing thread with the file name once the file is complete, for example to
                update the file ``last_checkpoint`` and to remove old checkpoints.

        Raises:
            Exception: the error of the previous write, if it failed.
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
        """Allocates, in a thread, the memory into which :meth:`save` copies checkpoints.

        So the first save takes no longer than later saves.

        Args:
            checkpoint: a checkpoint with tensors of the same shapes and dtypes as those that will be saved. Its dicts
                and lists must not be changed until :meth:`wait` returns.

        Raises:
            Exception: the error of the previous write, if it failed.
        """
        self.wait()
        self._start("getting memory for snapshots", lambda: self._buffers.take(checkpoint))

    @property
    def is_busy(self) -> bool:
        """Whether the thread that writes checkpoints, or allocates memory for them, is running."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self) -> None:
        """Waits until the last checkpoint that was passed to :meth:`save` is written; returns at once if it is.

        Raises:
            Exception: the error of the write, if the write failed; each error is raised once.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Waits until the last checkpoint is written, see :meth:`wait`, and frees the memory of the copies."""
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
        # Python waits for threads that are not daemon threads before it exits, so the file is written completely.
        self._thread = threading.Thread(target=self._run, args=(task, action), name="eng-checkpoint-writer")
        self._thread.start()

    def _run(self, task: str, action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001  # wait() raises it in the thread that saves
            _LOGGER.error("%s beside training failed: %s", task, error)
            self._failure = error
