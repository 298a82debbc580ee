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
# Functions that a pickle calls to construct a tensor: the first for dtypes with a storage class of their own, such as
# torch.FloatStorage, the second for dtypes without such a class, such as uint16. The device is stated, because tensors
# of the meta device have another function, and this module may first be imported inside ``with torch.device("meta")``.
_REBUILD_TYPED: Any = torch.empty(0, dtype=torch.float32, device="cpu").__reduce_ex__(2)[0]
_REBUILD_UNTYPED: Any = torch.empty(0, dtype=torch.uint16, device="cpu").__reduce_ex__(2)[0]
_STORAGE_NAMES = {dtype: f"{name}Storage" for name, dtype in STORAGES.items() if "Q" not in name}


def write_archive(value: Any, file: BinaryIO) -> None:
    """Writes nested dicts, lists and plain values with tensors in the format of ``torch.save``.

    A :class:`StoredTensor`, whose values are on the disk, is copied into the file block by block. Two tensors that
    share a storage get separate storages in the file, so they no longer share memory after loading.

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
    """Pickles a checkpoint without the values of its tensors, which the caller writes into separate records.

    Attributes:
        tensors: the tensors in the order in which they were pickled. The pickle refers to the values of a tensor by
            the tensor's index in this list.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, protocol=2)
        self.tensors: list[StoredTensor] = []

    def persistent_id(self, value: Any) -> Any:
        """Returns the persistent id that the pickle has in place of a storage; None if `value` is no storage."""
        if isinstance(value, _StorageReference):
            return value.identity
        return None

    def reducer_override(self, value: Any) -> Any:
        """Returns the function of torch, and its arguments, that will construct a tensor when the pickle is read.

        For objects other than tensors ``NotImplemented`` is returned, so that they are pickled as usual.
        """
        if not isinstance(value, torch.Tensor | StoredTensor):
            return NotImplemented
        tensor = as_stored(value)
        key = len(self.tensors)
        self.tensors.append(tensor)
        # The values are written in row-major order, so the strides are those of a contiguous tensor of this shape.
        strides = torch.empty(tensor.shape, device="meta").stride()
        view: tuple[Any, ...] = (0, tuple(tensor.shape), strides, False, OrderedDict())
        name = _STORAGE_NAMES.get(tensor.dtype)
        if name is not None:
            storage = _StorageReference(key, getattr(torch, name), tensor.numel())
            return _REBUILD_TYPED, (storage, *view)
        storage = _StorageReference(key, torch.UntypedStorage, tensor.size_bytes)
        return _REBUILD_UNTYPED, (storage, *view, tensor.dtype)


def _write_record(archive: zipfile.ZipFile, name: str, blocks: Any, file: BinaryIO) -> None:
    """Writes a record of a zip archive.

    The bytes of the record begin at a multiple of 64 in the file, so that torch can memory-map the values.

    Args:
        archive: the zip archive, open for writing.
        name: name of the record, without the folder in the archive.
        blocks: the bytes of the record, in several parts.
        file: the file that `archive` writes to; its position decides the padding before the record.
    """
    record = zipfile.ZipInfo(f"{_FOLDER}/{name}")
    # The record's bytes follow its header, its name, a zip64 field, and a padding field with a 4-byte header.
    begin = file.tell() + _HEADER_BYTES + len(record.filename.encode()) + _ZIP64_BYTES + 4
    padding = -begin % _ALIGNMENT
    record.extra = struct.pack("<2sH", _PADDING_ID, padding) + b"Z" * padding
    with archive.open(record, "w", force_zip64=True) as target:
        for block in blocks:
            target.write(block)
