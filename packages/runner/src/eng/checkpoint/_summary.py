"""Summarize checkpoints as plain values, without building the model."""

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
# Entries of a checkpoint's `meta` that a summary leaves out because they may be long: the text of the config, the
# description of the machine (older libraries of OpenMMLab save one) and the metainfo of the training dataset.
_LONG = ("cfg", "env_info", "dataset_meta")


@dataclass(frozen=True)
class TensorSummary:
    """Name, shape and dtype of a tensor in a checkpoint.

    Args:
        name: key of the tensor in the state dict.
        shape: shape of the tensor.
        dtype: name of its dtype, such as ``"float32"``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class CheckpointSummary:
    """Summary of the content of a checkpoint file.

    Args:
        path: path of the file.
        size_bytes: size of the file in bytes.
        entries: top-level keys of the checkpoint, with the number of items if the value is a mapping, else None.
        meta: metadata of the run, such as epoch and time, without long texts such as the config.
        num_values: number of elements in all tensors of the weights.
        tensors: the tensors of the weights.
        has_average: whether the file also holds the averaged weights of an EMAHook.
    """

    path: str
    size_bytes: int
    entries: dict[str, int | None]
    meta: dict[str, Any]
    num_values: int
    tensors: tuple[TensorSummary, ...]
    has_average: bool

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes as plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ListedCheckpoint:
    """One entry in the list of checkpoints that :func:`list_checkpoints` returns for a folder.

    Args:
        path: path of the file.
        size_bytes: size of the file in bytes.
        epoch: number of completed epochs; None if unknown.
        iter: number of completed iterations; None if unknown.
        time: time of the save, as the run wrote it.
        is_last: whether the file ``last_checkpoint`` in the folder names this checkpoint.
        problem: why the checkpoint cannot be used; None if it is intact.
    """

    path: str
    size_bytes: int
    epoch: int | None = None
    iter: int | None = None
    time: str | None = None
    is_last: bool = False
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes as plain values, for JSON."""
        return asdict(self)


def summarize_checkpoint(path: str | Path) -> CheckpointSummary:
    """Summarizes the content of a checkpoint; its tensors stay on the disk.

    Args:
        path: path of a file, of the folder of a sharded checkpoint, or of safetensors.

    Raises:
        BrokenCheckpointError: the file is no checkpoint, cut short or damaged.
        UntrustedCheckpointError: the file holds types that are not known to be harmless.
        FileNotFoundError: the file does not exist.

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
    entries: dict[str, int | None] = {}
    for key, value in checkpoint.items():
        entries[str(key)] = None
        if hasattr(value, "keys"):
            entries[str(key)] = len(value)
    return CheckpointSummary(
        path=str(path),
        size_bytes=_size_bytes(Path(path)),
        entries=entries,
        meta={str(key): plain(value) for key, value in _meta_of(checkpoint).items() if key not in _LONG},
        num_values=sum(value.numel() for _, value in tensors),
        tensors=tuple(TensorSummary(key, tuple(value.shape), dtype_name(value)) for key, value in tensors),
        has_average="ema_state_dict" in checkpoint,
    )


def list_checkpoints(folder: str | Path) -> list[ListedCheckpoint]:
    """Lists the checkpoints in a folder (files and sharded ones) in the order of their iterations.

    Each checkpoint is compared with its checksums.

    Args:
        folder: the ``work_dir`` of a run.

    Raises:
        NotADirectoryError: `folder` is no folder.
        FileNotFoundError: `folder` does not exist.
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
    """Checks a checkpoint and returns its entry for :func:`list_checkpoints`.

    A broken checkpoint gets an entry too, with the reason in ``problem``.

    Args:
        path: path of the checkpoint.
        last: path of the checkpoint that the pointer file ``last_checkpoint`` names; None without such a file.
    """
    size_bytes = _size_bytes(path)
    is_last = last is not None and path.resolve() == last.resolve()
    try:
        verify_any(path)
        checkpoint = open_checkpoint(path)
    except (BrokenCheckpointError, UntrustedCheckpointError) as error:
        return ListedCheckpoint(str(path), size_bytes, is_last=is_last, problem=error.args[0])
    meta = _meta_of(checkpoint)
    facts: dict[str, Any] = {}
    for key, expected in (("epoch", int), ("iter", int), ("time", str)):
        if type(meta.get(key)) is expected:
            facts[key] = meta[key]
    return ListedCheckpoint(str(path), size_bytes, is_last=is_last, **facts)


def _meta_of(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = checkpoint.get("meta")
    if isinstance(meta, Mapping):
        return meta
    return {}


def _size_bytes(path: Path) -> int:
    if path.is_dir():
        return folder_size(path)
    return path.stat().st_size


def dtype_name(tensor: Tensor) -> str:
    """Returns the name of a tensor's dtype without the library, such as ``"float32"``."""
    return str(tensor.dtype).removeprefix("torch.")


def plain(value: Any) -> Any:
    """Converts a value to nested dicts, lists, strings and numbers, which JSON can represent."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, str | int | float | bool | type(None)):
        return value
    return str(value)
