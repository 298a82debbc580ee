"""Open local checkpoints of any format: a file of ``torch.save``, a sharded folder, or safetensors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ._archive import is_archive
from ._archive_writer import write_archive
from ._folder import is_sharded, open_folder, verify_folder
from ._load import _weights
from ._read import read_checkpoint
from ._safetensors import is_safetensors, open_safetensors
from ._stored import StoredTensor
from ._verify import check_records, verify_checkpoint
from ._write import save_checkpoint, verify_written, write_whole
from .errors import BrokenCheckpointError

__all__ = ["Tensor", "open_checkpoint", "tensors_in", "verify_any", "write_checkpoint"]

Tensor = torch.Tensor | StoredTensor


def open_checkpoint(path: str | os.PathLike[str], verify: bool = False) -> dict[str, Any]:
    """Opens a checkpoint of any format as a dict; its tensors stay on the disk until they are used, if possible.

    Args:
        path: path of a file, of the folder of a sharded checkpoint, of a safetensors file or a folder of such files.
        verify: whether to compare the checkpoint with its checksums first, for which it is read completely. Safetensors
            have no checksums.

    Raises:
        BrokenCheckpointError: the checkpoint is damaged, or no dict. See also :func:`read_checkpoint`.
        IsADirectoryError: `path` is a folder that holds no checkpoint.
    """
    path = Path(path)
    if is_safetensors(path):
        return {"state_dict": open_safetensors(path)}
    if is_sharded(path):
        return open_folder(path, verify)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a checkpoint; `eng ckpt ls {path}` lists those in it")
    if verify and path.is_file() and is_archive(path):
        check_records(path)
    checkpoint = read_checkpoint(path, map_location="cpu", mmap=True)
    if not isinstance(checkpoint, Mapping):
        raise BrokenCheckpointError(str(path), f"it holds a {type(checkpoint).__name__}, not a dict")
    return dict(checkpoint)


def verify_any(path: str | os.PathLike[str]) -> None:
    """Checks a checkpoint of any format; see :func:`verify_checkpoint` and :func:`verify_folder`.

    Safetensors have no checksums, so their names, shapes and lengths are checked.

    Raises:
        BrokenCheckpointError: the checkpoint is cut short or damaged.
        UntrustedCheckpointError: the checkpoint holds types that are not known to be harmless.
    """
    if is_safetensors(path):
        open_safetensors(path)
    elif Path(path).is_dir():
        verify_folder(path)
    else:
        verify_checkpoint(Path(path))


def write_checkpoint(checkpoint: dict[str, Any], target: str | os.PathLike[str]) -> None:
    """Writes a checkpoint file; tensors that are on the disk are copied block by block.

    Args:
        checkpoint: nested dicts and lists of plain values and tensors.
        target: local path of the new file.

    Raises:
        CheckpointWriteError: the file cannot be written; no file is left under its name.
    """
    if _has_stored(checkpoint):
        write_whole(Path(target), lambda file: write_archive(checkpoint, file), verify_written)
    else:
        save_checkpoint(checkpoint, target)


def tensors_in(checkpoint: Mapping[str, Any], path: str | os.PathLike[str]) -> Iterator[tuple[str, Tensor]]:
    """Yields the names and tensors of the weights in a checkpoint that was read from `path`."""
    return ((key, value) for key, value in _weights(checkpoint, path).items() if isinstance(value, Tensor))


def _has_stored(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_stored(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_has_stored(item) for item in value)
    return isinstance(value, StoredTensor)
