"""Read sharded checkpoints: folders with the tensors in torch's distributed format and all other values in one file."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import torch

from ._archive import Archive
from ._file_names import COMMON, METADATA
from ._read import read_checkpoint, read_mapped_part
from ._stored import Piece, StoredTensor
from ._verify import verify_checkpoint
from ._window import Window
from .errors import BrokenCheckpointError

# Functions import what reads torch's distributed checkpoints, because torch needs half a second to import them.
if TYPE_CHECKING:
    from ._shards import Part

__all__ = ["MARK", "folder_size", "is_sharded", "join", "open_folder", "verify_folder"]

MARK = "sharded tensor: "
"""Prefix of the placeholder text that a sharded checkpoint has for each sharded tensor in its common file.

The common file holds everything but the sharded tensors. The path of the tensor follows the prefix.
"""


def is_sharded(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a folder that holds a sharded checkpoint."""
    return (Path(path) / COMMON).is_file()


def folder_size(path: str | os.PathLike[str]) -> int:
    """Returns the total size of the files in a folder, in bytes."""
    return sum(file.stat().st_size for file in Path(path).iterdir() if file.is_file())


def join(common: Any, shards: Mapping[str, Any]) -> Any:
    """Assembles a sharded checkpoint: replaces the placeholders in its common file by the sharded tensors.

    Args:
        common: content of the common file: the checkpoint with a placeholder string (MARK, then a name) for each
            sharded tensor.
        shards: the sharded tensors by name, which replace the placeholders.
    """
    if isinstance(common, str) and common.startswith(MARK):
        return shards[common[len(MARK) :]]
    if isinstance(common, Mapping):
        return {key: join(item, shards) for key, item in common.items()}
    if type(common) in (list, tuple):
        return type(common)(join(item, shards) for item in common)
    return common


def open_folder(path: str | os.PathLike[str], verify: bool = False) -> dict[str, Any]:
    """Opens a sharded checkpoint; its tensors stay on the disk, each as a :class:`StoredTensor`.

    Args:
        path: path of the folder.
        verify: whether to compare all files with their checksums first, for which the files are read completely.

    Raises:
        BrokenCheckpointError: a file of the folder is missing or damaged.
        UntrustedCheckpointError: the folder holds objects other than tensors and plain values.
    """
    folder = Path(path)
    if verify:
        verify_folder(folder)
    tensors = _stored_tensors(folder)
    common = read_checkpoint(folder / COMMON, map_location="cpu", mmap=True)
    try:
        checkpoint = join(common, tensors)
    except LookupError as error:
        raise BrokenCheckpointError(str(folder), f"{COMMON} does not fit .metadata: {error!r}") from error
    if not isinstance(checkpoint, dict):
        raise BrokenCheckpointError(str(folder), f"{COMMON} holds a {type(common).__name__}, not a dict")
    return checkpoint


def verify_folder(path: str | os.PathLike[str]) -> None:
    """Compares every file of a sharded checkpoint with the checksums stored in the files.

    These are the common file, which holds everything but sharded tensors, and the files that the ranks wrote.

    Raises:
        BrokenCheckpointError: a file is missing, cut short or damaged.
        UntrustedCheckpointError: the metadata holds objects other than descriptions of tensors.
    """
    from ._shards import read_shard_metadata

    folder = Path(path)
    _require_metadata(folder)
    verify_checkpoint(folder / COMMON)
    _, parts = read_shard_metadata(folder)
    for part in parts.values():
        file_path = folder / part.file
        with file_path.open("rb") as file:
            window = io.BufferedReader(Window(file, part.offset, part.length))
            Archive(cast("BinaryIO", window), str(file_path), verify=True).check()
    open_folder(folder)


def _stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Returns the sharded tensors of a checkpoint by name, without their values.

    The values of a tensor are read when they are needed, in the pieces that the ranks have saved.
    """
    from torch.distributed.checkpoint.metadata import MetadataIndex

    from ._shards import read_shard_metadata

    _require_metadata(folder)
    metadata, parts = read_shard_metadata(folder)
    stored = {}
    for name, entry in metadata.state_dict_metadata.items():
        described: Any = entry
        pieces = []
        for chunk in described.chunks:
            part = parts[MetadataIndex(name, chunk.offsets)]
            pieces.append(Piece(chunk.offsets, chunk.sizes, partial(_read_piece, folder, part, chunk)))
        stored[name] = StoredTensor(described.size, described.properties.dtype, pieces)
    return stored


def _read_piece(folder: Path, part: Part, chunk: Any) -> torch.Tensor:
    """Returns one chunk (the part of a sharded tensor that one rank saved) as a memory-mapped tensor.

    Args:
        folder: folder of the sharded checkpoint.
        part: name of the chunk's file, and position of the chunk in the file.
        chunk: description of the chunk in the metadata, with its shape.

    Raises:
        BrokenCheckpointError: the file does not hold a tensor of the chunk's shape at this offset.
    """
    path = folder / part.file
    value = read_mapped_part(path, part.offset, part.length)
    if not isinstance(value, torch.Tensor) or value.shape != chunk.sizes:
        raise BrokenCheckpointError(
            str(path), f"at byte {part.offset} it holds no tensor of the shape {tuple(chunk.sizes)}"
        )
    return value


def _require_metadata(folder: Path) -> None:
    if not (folder / METADATA).is_file() or not is_sharded(folder):
        raise BrokenCheckpointError(
            str(folder), f"a sharded checkpoint has {METADATA} and {COMMON}; the save was cut short"
        )
