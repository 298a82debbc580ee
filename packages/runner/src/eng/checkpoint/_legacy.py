"""Read the format of torch before 1.6: five pickles, followed by the storages, without checksums."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import torch

from ._machine import MalformedPickleError, PickleMachine, Table
from ._tensors import Storage, bytes_of, storage_reference, unfilled_tensor_table

__all__ = ["read_legacy"]

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
_PICKLE = b"\x80"
Restore = Callable[[torch.UntypedStorage, str], torch.UntypedStorage]


def read_legacy(file: BinaryIO, table: Table, restore: Restore) -> Any:
    """Reads a checkpoint in the format that ``torch.save`` wrote before torch 1.6.

    In this format the values of the storages follow the pickle that refers to the storages. So the pickle is read
    twice: first for the lengths of the storages, and again, after their values were read, to construct the tensors.

    Args:
        file: the checkpoint file, open for reading.
        table: the types that the pickle may refer to, with functions that construct their objects, by name.
        restore: function that moves a storage to a device by the rules of ``map_location``; called with the storage
            and the name of the device from which the storage was saved.

    Raises:
        NameRefusedError, MalformedPickleError: see :meth:`eng.checkpoint._machine.PickleMachine.load`.
    """
    size_bytes = file.seek(0, 2)
    file.seek(0)
    if file.read(1) != _PICKLE or file.seek(0) or PickleMachine(file, {}).load() != _MAGIC_NUMBER:
        raise MalformedPickleError("torch.save did not write it")
    if PickleMachine(file, {}).load() != _PROTOCOL_VERSION:
        raise MalformedPickleError("it is of another version of torch's old format")
    system = PickleMachine(file, {}).load()
    if isinstance(system, dict) and system.get("little_endian") is not (sys.byteorder == "little"):
        raise MalformedPickleError("it was written on a machine with another byte order")
    begin = file.tell()
    storages = _Storages(size_bytes)
    PickleMachine(file, {**table, **unfilled_tensor_table()}, storages.allocate).load()
    keys = PickleMachine(file, {}).load()
    if not isinstance(keys, list) or set(keys) != set(storages.lengths):
        raise MalformedPickleError("it lists other storages than it refers to")
    for key in keys:
        storages.fill(key, file)
    file.seek(begin)
    storages.restore = restore
    return PickleMachine(file, table, storages.on_device).load()


class _Storages:
    """Reads and holds the storages of a checkpoint file that was written before torch 1.6."""

    def __init__(self, size_bytes: int) -> None:
        self.lengths: dict[str, int] = {}
        self.restore: Restore = lambda memory, _: memory
        self._memory: dict[str, torch.UntypedStorage] = {}
        self._on_device: dict[str, torch.UntypedStorage] = {}
        self._left = size_bytes

    def allocate(self, machine: PickleMachine, identity: Any) -> Storage:
        """Allocates the memory of a storage that the pickle refers to; :meth:`fill` reads the values later.

        Raises:
            MalformedPickleError: all storages together are larger than the file.
        """
        key, dtype, _, length, view = _parts(identity)
        if key not in self._memory:
            self._left -= length * dtype.itemsize
            if self._left < 0:
                raise MalformedPickleError("it refers to more storage than the file is long")
            self._memory[key] = torch.UntypedStorage(length * dtype.itemsize)
            self.lengths[key] = length
        return _view_of(self._memory[key], dtype, view)

    def fill(self, key: str, file: BinaryIO) -> None:
        """Reads the values of a storage from the file into the memory that :meth:`allocate` has allocated.

        Raises:
            MalformedPickleError: the file holds fewer values than the pickle says.
        """
        head = file.read(8)
        if len(head) != 8 or struct.unpack("<q", head)[0] != self.lengths[key]:
            raise MalformedPickleError(f"the storage {key[:50]!r} is cut short")
        memory = self._memory[key]
        if memory.nbytes() == 0:
            return
        if file.readinto(bytes_of(memory)) != memory.nbytes():  # type: ignore[attr-defined]  # files have readinto
            raise MalformedPickleError(f"the storage {key[:50]!r} is cut short")

    def on_device(self, machine: PickleMachine, identity: Any) -> Storage:
        """Returns the storage that the pickle refers to, with its values, moved to the device of ``map_location``."""
        key, dtype, location, _, view = _parts(identity)
        if key not in self._on_device:
            self._on_device[key] = self.restore(self._memory[key], location)
        return _view_of(self._on_device[key], dtype, view)


def _parts(identity: Any) -> tuple[str, torch.dtype, str, int, Any]:
    if not isinstance(identity, tuple) or len(identity) not in (5, 6):
        raise MalformedPickleError("it refers to a storage that is none")
    view = None
    if len(identity) == 6:
        view = identity[5]
    return (*storage_reference(identity[:5]), view)


def _view_of(memory: torch.UntypedStorage, dtype: torch.dtype, view: Any) -> Storage:
    """Returns a storage, or a part of it: files of torch before 1.6 may hold storages that are views of others.

    Args:
        memory: the bytes of the storage.
        dtype: dtype of the values in the storage.
        view: key of the part, index of its first value and number of its values; None for the complete storage.

    Raises:
        MalformedPickleError: `view` describes no part, or a part that reaches beyond the end of the storage.
    """
    if view is None:
        return Storage(memory, dtype)
    if not isinstance(view, tuple) or len(view) != 3 or any(type(n) is not int or n < 0 for n in view[1:]):
        raise MalformedPickleError("it refers to a part of a storage that is none")
    begin, end = view[1] * dtype.itemsize, (view[1] + view[2]) * dtype.itemsize
    if end > memory.nbytes():
        raise MalformedPickleError("it refers to a part beyond the end of a storage")
    part: Any = memory[begin:end]
    return Storage(part, dtype)
