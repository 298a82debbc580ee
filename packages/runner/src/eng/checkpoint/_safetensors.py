"""Read and write the safetensors format: one file, or several files with an index like those of Hugging Face.

Source: https://github.com/huggingface/safetensors, "Format": eight bytes with the length of a JSON header, the header,
the values of the tensors.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ._archive_writer import contiguous_bytes
from ._stored import Piece, StoredTensor, as_stored
from ._write import write_whole
from .errors import BrokenCheckpointError

__all__ = ["INDEX", "is_safetensors", "open_safetensors", "write_safetensors", "write_safetensors_folder"]

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "C64": torch.complex64,
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LONGEST_HEADER = 100_000_000

Weights = Mapping[str, "torch.Tensor | StoredTensor"]


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Whether `path` ends in ``.safetensors``, or is a folder with safetensors files in Hugging Face's layout."""
    target = Path(path)
    if target.is_dir():
        return (target / INDEX).is_file() or (target / SINGLE).is_file()
    return target.suffix == ".safetensors"


def open_safetensors(path: str | os.PathLike[str]) -> dict[str, StoredTensor]:
    """Returns the tensors of a safetensors file, or of a folder with several such files, by name.

    The values of the tensors stay on the disk until they are used.

    Raises:
        BrokenCheckpointError: a file is cut short or damaged, or lacks a tensor that the index lists.
        FileNotFoundError: a file does not exist.
    """
    target = Path(path)
    if not target.is_dir():
        return _open_file(target)
    if not (target / INDEX).is_file():
        return _open_file(target / SINGLE)
    weight_map = _read_index(target / INDEX)
    files = {name: _open_file(target / name) for name in sorted(set(weight_map.values()))}
    for name, file in weight_map.items():
        if name not in files[file]:
            raise BrokenCheckpointError(str(target / file), f"{INDEX} says that it holds {name!r}, which it does not")
    return {name: files[file][name] for name, file in weight_map.items()}


def write_safetensors(weights: Weights, target: Path, meta: Mapping[str, str]) -> None:
    """Writes a safetensors file; only one block of a tensor is in memory at a time.

    Args:
        weights: the tensors by name.
        target: path of the file.
        meta: strings by name, which are stored under ``__metadata__`` in the header of the file.

    Raises:
        CheckpointWriteError: the file cannot be written; no file is left under its name.
        ValueError: the format has no type for a tensor's dtype.
    """
    stored = {name: as_stored(value) for name, value in weights.items()}
    head = _header(stored, meta)

    def write(file: BinaryIO) -> None:
        file.write(len(head).to_bytes(8, "little"))
        file.write(head)
        for tensor in stored.values():
            file.writelines(contiguous_bytes(block) for block in tensor.blocks())

    write_whole(target, write)


def write_safetensors_folder(weights: Weights, folder: Path, meta: Mapping[str, str], max_file_bytes: int) -> None:
    """Writes safetensors files of limited size, and an index that maps each tensor to its file.

    Args:
        weights: the tensors by name.
        folder: path of the folder, which is created if it does not exist. The index is written last.
        meta: strings by name, which are stored under ``__metadata__`` in the header of each file.
        max_file_bytes: largest number of bytes of tensors in a file; a larger tensor gets a file of its own.

    Raises:
        CheckpointWriteError: a file cannot be written.
        ValueError: the format has no type for a tensor's dtype.
    """
    stored = {name: as_stored(value) for name, value in weights.items()}
    groups = _group_by_file(stored, max_file_bytes)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(groups, 1):
        file_name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        write_safetensors({name: stored[name] for name in names}, folder / file_name, meta)
        weight_map |= dict.fromkeys(names, file_name)
    total = sum(tensor.size_bytes for tensor in stored.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_whole(folder / INDEX, lambda file: file.write(json.dumps(index, indent=2).encode()))


def _group_by_file(stored: Mapping[str, StoredTensor], max_file_bytes: int) -> list[list[str]]:
    """Distributes tensors over files of at most `max_file_bytes`, and returns the tensor names of each file."""
    groups: list[list[str]] = [[]]
    size_bytes = 0
    for name, tensor in stored.items():
        if groups[-1] and size_bytes + tensor.size_bytes > max_file_bytes:
            groups.append([])
            size_bytes = 0
        groups[-1].append(name)
        size_bytes += tensor.size_bytes
    return groups


def _header(stored: Mapping[str, StoredTensor], meta: Mapping[str, str]) -> bytes:
    """Returns the JSON header of a safetensors file, padded with spaces to a multiple of 8 bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **meta}}
    begin = 0
    for name, tensor in stored.items():
        if tensor.dtype not in _NAMES:
            raise ValueError(f"{name} is of the type {tensor.dtype}, which the safetensors format does not know")
        end = begin + tensor.size_bytes
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _read_index(path: Path) -> dict[str, str]:
    """Returns the file name of each tensor, by the tensor's name, from the index of a folder of safetensors."""
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        is_map = all(isinstance(name, str) and Path(file).name == file for name, file in weight_map.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenCheckpointError(str(path), f"it is no index of safetensors files: {error!r}") from error
    if not is_map:
        raise BrokenCheckpointError(str(path), "its weight_map names something else than files beside it")
    return dict(weight_map)


def _open_file(path: Path) -> dict[str, StoredTensor]:
    """Returns the tensors of a safetensors file by name; only the file's header is read."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint file {path}")
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size_bytes - 8, _LONGEST_HEADER):
            raise BrokenCheckpointError(str(path), "it is cut short, or no safetensors file")
        text = file.read(length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        return {name: _entry(path, entry, 8 + length, size_bytes) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, BrokenCheckpointError):
            raise
        raise BrokenCheckpointError(str(path), f"its header is damaged: {error!r}") from error


def _entry(path: Path, entry: Mapping[str, Any], data_begin: int, size_bytes: int) -> StoredTensor:
    """Returns a tensor of a safetensors file, after checking its byte offsets against its shape and the file size.

    Args:
        path: path of the file.
        entry: the description of the tensor in the header: shape, dtype and offsets.
        data_begin: position in the file at which the values of all tensors begin, behind the header.
        size_bytes: size of the file in bytes.

    Raises:
        ValueError: the number of bytes between the offsets does not fit the shape.
        BrokenCheckpointError: the offsets lie beyond the end of the file.
    """
    dtype, shape = _DTYPES[entry["dtype"]], torch.Size(entry["shape"])
    begin, end = entry["data_offsets"]
    is_sound = type(begin) is type(end) is int and all(length >= 0 for length in shape)
    if not is_sound or begin < 0 or end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"a tensor of the shape {tuple(shape)} at {begin}:{end}")
    if data_begin + end > size_bytes:
        raise BrokenCheckpointError(str(path), f"it is cut short: {size_bytes} bytes of {data_begin + end}")
    read = partial(_map_values, path, data_begin + begin, dtype, shape)
    return StoredTensor(shape, dtype, (Piece((0,) * len(shape), shape, read),))


def _map_values(path: Path, offset: int, dtype: torch.dtype, shape: torch.Size) -> torch.Tensor:
    """Returns a tensor whose values are memory-mapped from the byte `offset` of a file."""
    length = math.prod(shape) * dtype.itemsize
    if not length:
        return torch.empty(shape, dtype=dtype)
    memory: Any = torch.UntypedStorage.from_file(str(path), False, offset + length)
    values = torch.empty(0, dtype=torch.uint8).set_(memory[offset : offset + length])
    # Older programs write a header without padding. The values may then begin at an address that is no multiple of the
    # dtype's size, and torch cannot view the memory as a tensor of `dtype`, so the values are copied.
    if offset % dtype.itemsize:
        values = values.clone()
    return values.view(dtype).view(shape)
