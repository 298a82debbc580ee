"""What a checkpoint holds, as plain values; no model is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ._folder import folder_size, is_sharded
from ._latest import pointer_target, pointer_text
from ._open import Tensor, open_checkpoint, tensors_in, verify_any
from .errors import BrokenCheckpointError, UntrustedCheckpointError

__all__ = ["CheckpointSummary", "ListedCheckpoint", "TensorSummary", "list_checkpoints", "summarize_checkpoint"]

SUFFIXES = (".pth", ".pt")
# Long texts; `eng config show` and the log show them better.
_LONG = ("cfg", "env_info", "dataset_meta")


@dataclass(frozen=True)
class TensorSummary:
    """One tensor of the weights.

    Args:
        name: its key.
        shape: of it.
        dtype: such as ``"float32"``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class CheckpointSummary:
    """What a checkpoint file holds.

    Args:
        path: of the file.
        size_bytes: of the file.
        entries: its top-level keys, with the number of items of those that have several.
        meta: what the run wrote about itself, without its long texts.
        num_values: numbers in the weights.
        tensors: the weights.
        has_average: whether an averaged copy of the weights is in it.
    """

    path: str
    size_bytes: int
    entries: dict[str, int | None]
    meta: dict[str, Any]
    num_values: int
    tensors: tuple[TensorSummary, ...]
    has_average: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ListedCheckpoint:
    """One line of a list of checkpoints.

    Args:
        path: of the file.
        size_bytes: of the file.
        epoch: epochs done; None where the file does not tell.
        iter: iterations done; None likewise.
        time: when it was saved, as the run wrote it.
        is_last: whether the folder's ``last_checkpoint`` names it.
        problem: why it cannot be used; None for a whole file.
    """

    path: str
    size_bytes: int
    epoch: int | None = None
    iter: int | None = None
    time: str | None = None
    is_last: bool = False
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def summarize_checkpoint(path: str | Path) -> CheckpointSummary:
    """What is in a checkpoint; its tensors stay on the disk.

    Args:
        path: of a file, of the folder of a sharded checkpoint, or of safetensors.

    Raises:
        BrokenCheckpointError: it is no checkpoint, cut short or damaged.
        UntrustedCheckpointError: it holds types that are not known to be harmless.
        FileNotFoundError: there is no such file.

    Examples:
        >>> import tempfile, torch
        >>> from eng.checkpoint import save_checkpoint
        >>> path = f"{tempfile.mkdtemp()}/epoch_1.pth"
        >>> save_checkpoint({"meta": {"epoch": 1}, "state_dict": {"weight": torch.ones(2, 3)}}, path)
        >>> summarize_checkpoint(path).num_values
        6
    """
    checkpoint = open_checkpoint(path)
    tensors = list(tensors_in(checkpoint, path))
    stored = checkpoint.get("meta")
    meta = stored if isinstance(stored, Mapping) else {}
    return CheckpointSummary(
        path=str(path),
        size_bytes=_size_bytes(Path(path)),
        entries={str(key): len(value) if hasattr(value, "keys") else None for key, value in checkpoint.items()},
        meta={str(key): plain(value) for key, value in meta.items() if key not in _LONG},
        num_values=sum(value.numel() for _, value in tensors),
        tensors=tuple(TensorSummary(key, tuple(value.shape), dtype_name(value)) for key, value in tensors),
        has_average="ema_state_dict" in checkpoint,
    )


def list_checkpoints(folder: str | Path) -> list[ListedCheckpoint]:
    """The checkpoints in a folder, files and sharded ones, in the order of their iterations; each is checked against its checksums.

    Args:
        folder: the ``work_dir`` of a run.

    Raises:
        NotADirectoryError: it is no folder.
        FileNotFoundError: it does not exist.
    """
    folder = Path(folder)
    last = pointer_target(folder, pointer_text(folder))
    files = [
        path for path in sorted(folder.iterdir()) if is_sharded(path) or (path.suffix in SUFFIXES and path.is_file())
    ]
    return sorted(
        (_listed(path, last) for path in files),
        key=lambda checkpoint: (checkpoint.iter is None, checkpoint.iter or 0, checkpoint.path),
    )


def _listed(path: Path, last: Path | None) -> ListedCheckpoint:
    """One row of a list of checkpoints; a broken file is a row with its problem."""
    size_bytes, is_last = _size_bytes(path), last is not None and path.resolve() == last.resolve()
    try:
        verify_any(path)
        checkpoint = open_checkpoint(path)
    except (BrokenCheckpointError, UntrustedCheckpointError) as error:
        return ListedCheckpoint(str(path), size_bytes, is_last=is_last, problem=error.args[0])
    stored = checkpoint.get("meta")
    meta = stored if isinstance(stored, Mapping) else {}
    epoch, iteration = (meta.get(key) if type(meta.get(key)) is int else None for key in ("epoch", "iter"))
    time = meta.get("time") if isinstance(meta.get("time"), str) else None
    return ListedCheckpoint(str(path), size_bytes, epoch, iteration, time, is_last)


def _size_bytes(path: Path) -> int:
    return folder_size(path) if path.is_dir() else path.stat().st_size


def dtype_name(tensor: Tensor) -> str:
    """Name of a tensor's type without the library, such as ``"float32"``."""
    return str(tensor.dtype).removeprefix("torch.")


def plain(value: Any) -> Any:
    """A value that JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
