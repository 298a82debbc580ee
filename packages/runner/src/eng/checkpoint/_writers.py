"""How the checkpoints of a run get to their places: at once, beside training, or not by this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from ._async import AsyncCheckpointWriter
from ._modules import to_cpu
from ._write import save_checkpoint

__all__ = ["CheckpointWriter", "WriteBeside", "WriteNothing", "WriteNow"]

# Whether a checkpoint is written beside training: in a thread (True) or in a process of each rank.
Beside = bool | Literal["process"]
_WEIGHTS = ("state_dict", "ema_state_dict")


class CheckpointWriter(Protocol):
    """Writes checkpoints to their places. All ranks of a run have one and call it at the same points."""

    def prepare(self, checkpoint: dict[str, Any]) -> None:
        """Gets ready for checkpoints like this one."""

    def save(self, checkpoint: dict[str, Any], path: str, on_intact: Callable[[], None]) -> None:
        """Writes a checkpoint, or takes a copy that is written later; then calls `on_intact` on the writing rank."""

    def wait(self) -> None:
        """Returns when nothing is being written; raises what a write failed with."""

    def close(self) -> None:
        """Waits, and gives back what writing took."""


class WriteNow:
    """Writes a file before `save` returns.

    Args:
        backend_args: options of the storage.
    """

    def __init__(self, backend_args: dict[str, Any] | None = None) -> None:
        self.backend_args = backend_args

    def prepare(self, checkpoint: dict[str, Any]) -> None:
        """Nothing: there is no copy to get memory for."""

    def save(self, checkpoint: dict[str, Any], path: str, on_intact: Callable[[], None]) -> None:
        """Writes the file, with weights on the CPU, as tools read them that have no accelerator.

        Raises:
            CheckpointWriteError: it cannot be written; nothing is left behind.
        """
        on_cpu = {name: to_cpu(checkpoint[name]) for name in _WEIGHTS if name in checkpoint}
        save_checkpoint({**checkpoint, **on_cpu}, path, backend_args=self.backend_args)
        on_intact()

    def wait(self) -> None:
        """Nothing: `save` has written."""

    def close(self) -> None:
        """Nothing to give back."""


class WriteBeside:
    """Copies a checkpoint and writes the file beside training, see :class:`AsyncCheckpointWriter`.

    Args:
        backend_args: options of the storage.
    """

    def __init__(self, backend_args: dict[str, Any] | None = None) -> None:
        self.backend_args = backend_args
        self._writer = AsyncCheckpointWriter()

    def prepare(self, checkpoint: dict[str, Any]) -> None:
        """Gets the memory for copies, so that the first save is as short as the others."""
        self._writer.prepare(checkpoint)

    def save(self, checkpoint: dict[str, Any], path: str, on_intact: Callable[[], None]) -> None:
        """Takes the copy and starts writing; raises what the write before failed with."""
        self._writer.save(checkpoint, path, backend_args=self.backend_args, on_committed=lambda _: on_intact())

    def wait(self) -> None:
        """Returns when the file is written; raises what writing failed with."""
        self._writer.wait()

    def close(self) -> None:
        """Waits, and gives the memory of the copy back."""
        self._writer.close()


class WriteNothing:
    """Of a rank that only takes part in gathering a checkpoint."""

    def prepare(self, checkpoint: dict[str, Any]) -> None:
        """Nothing."""

    def save(self, checkpoint: dict[str, Any], path: str, on_intact: Callable[[], None]) -> None:
        """Nothing: another rank writes."""

    def wait(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
