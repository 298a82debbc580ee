"""Writers for the checkpoints of a run: synchronous, in a thread beside training, or none on this rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from ._async import AsyncCheckpointWriter
from ._modules import to_cpu
from ._write import save_checkpoint

__all__ = ["CheckpointWriter", "WriteBeside", "WriteNothing", "WriteNow"]

# How a checkpoint is written: False: training waits; True: in a thread while training continues; "process": in one
# separate process per rank while training continues.
Beside = bool | Literal["process"]
_WEIGHTS = ("state_dict", "ema_state_dict")


class CheckpointWriter(Protocol):
    """Interface of the objects that write the checkpoints of a run.

    Every rank has a writer, and all ranks call the methods of their writers at the same iterations.
    """

    def prepare(self, checkpoint: dict[str, Any]) -> None:
        """Allocates memory for copies of checkpoints whose tensors have the shapes and dtypes of this checkpoint."""

    def save(self, checkpoint: dict[str, Any], path: str, on_intact: Callable[[], None]) -> None:
        """Writes a checkpoint, or copies it to be written while training continues.

        Args:
            checkpoint: the checkpoint.
            path: path or address of the checkpoint file.
            on_intact: function that is called once the file is complete.
        """

    def wait(self) -> None:
        """Waits until all checkpoints passed to `save` are written; raises the error of a write that failed."""

    def close(self) -> None:
        """Waits until all checkpoints passed to `save` are written, and frees memory and processes of the writer."""


class WriteNow:
    """Writes checkpoints synchronously: `save` returns when the file is complete.

    Args:
        backend_args: arguments of the storage backend.
    """

    def __init__(self, backend_args: dict[str, Any] | None = None) -> None:
        self.backend_args = backend_args

    def prepare(self, checkpoint: dict[str, Any]) -> None:
        """Does nothing, since this writer writes the checkpoint itself and makes no copy in memory."""

    def save(self, checkpoint: dict[str, Any], path: str, on_intact: Callable[[], None]) -> None:
        """Writes the checkpoint file, and then calls `on_intact`.

        The weights are moved to the CPU first, so that machines without an accelerator can read the file.

        Raises:
            CheckpointWriteError: the file cannot be written; no partial file is left.
        """
        on_cpu = {name: to_cpu(checkpoint[name]) for name in _WEIGHTS if name in checkpoint}
        save_checkpoint({**checkpoint, **on_cpu}, path, backend_args=self.backend_args)
        on_intact()

    def wait(self) -> None:
        """Does nothing, since the method `save` of this writer returns after the file is written."""

    def close(self) -> None:
        """Does nothing, since this writer holds no memory."""


class WriteBeside:
    """Copies a checkpoint, and writes the file in a thread while training continues.

    See :class:`AsyncCheckpointWriter`.

    Args:
        backend_args: arguments of the storage backend.
    """

    def __init__(self, backend_args: dict[str, Any] | None = None) -> None:
        self.backend_args = backend_args
        self._writer = AsyncCheckpointWriter()

    def prepare(self, checkpoint: dict[str, Any]) -> None:
        """Allocates the memory for copies of checkpoints, so that the first save takes no longer than later saves."""
        self._writer.prepare(checkpoint)

    def save(self, checkpoint: dict[str, Any], path: str, on_intact: Callable[[], None]) -> None:
        """Copies the checkpoint and starts writing the copy; raises the error of the previous write, if it failed."""
        self._writer.save(checkpoint, path, backend_args=self.backend_args, on_committed=lambda _: on_intact())

    def wait(self) -> None:
        """Waits until the last checkpoint passed to `save` is written; raises the error of the write, if it failed."""
        self._writer.wait()

    def close(self) -> None:
        """Waits until the last checkpoint passed to `save` is written, and frees the memory of the copy."""
        self._writer.close()


class WriteNothing:
    """The writer of a rank that helps to gather a checkpoint but does not write the file."""

    def prepare(self, checkpoint: dict[str, Any]) -> None:
        """Does nothing, since another rank writes the checkpoint file."""

    def save(self, checkpoint: dict[str, Any], path: str, on_intact: Callable[[], None]) -> None:
        """Does nothing, since another rank writes the checkpoint file."""

    def wait(self) -> None:
        """Does nothing, since another rank writes the checkpoint file."""

    def close(self) -> None:
        """Does nothing, since another rank writes the checkpoint file."""
