"""Write an archive that ``torch.load`` can read, with only one block of a tensor in memory at a time."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from typing import Any, BinaryIO

import torch

from ._stored import StoredTensor, as_stored
from ._tensors import STORAGES, bytes_of

__all__ = ["contiguous_bytes", "write_archive"]

_FOLDER = "archive"
_ALIGNMENT = 64
_HEADER_BYTES = 30
_ZIP64_BYTES = 20
_PADDING_ID = b"FB"
# The functions by which torch pickles a tensor on a typed storage, and one whose type has no such storage.
_REBUILD_TYPED: Any = torch.empty(0, dtype=torch.float32).__reduce_ex__(2)[0]
_REBUILD_UNTYPED: Any = torch.empty(0, dtype=torch.uint16).__reduce_ex__(2)[0]
_STORAGE_NAMES = {dtype: f"{name}Storage" for name, dtype in STORAGES.items() if "Q" not in name}


def write_archive(value: Any, file: BinaryIO) -> None:
    """Writes nested dicts, lists and plain values with tensors in the format of ``torch.save``.

    A :class:`StoredTensor` is written as a tensor, block by block. Tensors that share a storage get separate storages.

    Args:
        value: the content of the file.
        file: a seekable file, open for writing.
    """
    pickled = io.BytesIO()
    pickler = _Pickler(pickled)
    pickler.dump(value)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _write_record(archive, "data.pkl", [pickled.getvalue()], file)
        _write_record(archive, "byteorder", [sys.byteorder.encode()], file)
        for key, tensor in enumerate(pickler.tensors):
            _write_record(archive, f"data/{key}", map(contiguous_bytes, tensor.blocks()), file)
        _write_record(archive, "version", [b"3\n"], file)


def contiguous_bytes(tensor: torch.Tensor) -> memoryview:
    """Returns the bytes of a tensor's values in row-major order."""
    return bytes_of(tensor.contiguous().untyped_storage())[: tensor.numel() * tensor.dtype.itemsize]


class _StorageReference:
    """Placeholder for a storage in the pickle of a checkpoint; holds the persistent id that torch expects."""

    def __init__(self, key: int, storage_type: Any, length: int) -> None:
        self.identity = ("storage", storage_type, str(key), "cpu", length)


class _Pickler(pickle.Pickler):
    """Pickles a checkpoint without the values of its tensors, which are written as records of their own afterwards.

    Attributes:
        tensors: the tensors; the index of a tensor is the key of its storage.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, protocol=2)
        self.tensors: list[StoredTensor] = []

    def persistent_id(self, value: Any) -> Any:
        """Returns the persistent id that replaces a storage in the pickle; None for all other objects."""
        if isinstance(value, _StorageReference):
            return value.identity
        return None

    def reducer_override(self, value: Any) -> Any:
        """Returns the function and arguments by which the pickle rebuilds a tensor from its storage."""
        if not isinstance(value, torch.Tensor | StoredTensor):
            return NotImplemented
        tensor = as_stored(value)
        key = len(self.tensors)
        self.tensors.append(tensor)
        strides = torch.empty(tensor.shape, device="meta").stride()
        view: tuple[Any, ...] = (0, tuple(tensor.shape), strides, False, OrderedDict())
        name = _STORAGE_NAMES.get(tensor.dtype)
        if name is not None:
            storage = _StorageReference(key, getattr(torch, name), tensor.numel())
            return _REBUILD_TYPED, (storage, *view)
        storage = _StorageReference(key, torch.UntypedStorage, tensor.size_bytes)
        return _REBUILD_UNTYPED, (storage, *view, tensor.dtype)


def _write_record(archive: zipfile.ZipFile, name: str, blocks: Any, file: BinaryIO) -> None:
    """Writes a record whose bytes begin at a multiple of 64, so that torch can memory-map the values."""
    record = zipfile.ZipInfo(f"{_FOLDER}/{name}")
    begin = file.tell() + _HEADER_BYTES + len(record.filename.encode()) + _ZIP64_BYTES + 4
    padding = -begin % _ALIGNMENT
    record.extra = struct.pack("<2sH", _PADDING_ID, padding) + b"Z" * padding
    with archive.open(record, "w", force_zip64=True) as target:
        for block in blocks:
            target.write(block)
