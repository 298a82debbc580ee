"""Read the zip archives that ``torch.save`` writes, and compare each record with its checksum while reading it."""

from __future__ import annotations

import struct
import sys
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ._machine import MalformedPickleError
from ._tensors import bytes_of
from .errors import BrokenCheckpointError

__all__ = ["Archive", "is_archive"]

_MAGIC = b"PK\x03\x04"
# The header before each record of a zip archive; the last two fields are the lengths of the name and the extra field.
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_CHUNK = 1 << 20
_LARGEST_SMALL_RECORD = 1 << 10


def is_archive(source: str | Path | BinaryIO) -> bool:
    """Whether a file begins with the magic bytes of a zip archive."""
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return file.read(4) == _MAGIC
    position = source.tell()
    head = source.read(4)
    source.seek(position)
    return head == _MAGIC


class Archive:
    """An open checkpoint file in the zip format of ``torch.save`` (torch 1.6 and later).

    The zip archive holds a record with the pickle and one record per storage, each with a CRC-32 checksum.

    Args:
        file: the checkpoint file, open for reading.
        shown: name of the file in error messages.
        verify: whether records are compared with their checksums when they are read.

    Raises:
        BrokenCheckpointError: the archive is cut short or damaged, or was not written by ``torch.save``.
    """

    def __init__(self, file: BinaryIO, shown: str, verify: bool) -> None:
        self._file = file
        self._shown = shown
        self._verify = verify
        self.size_bytes = file.seek(0, 2)
        file.seek(0)
        try:
            members = zipfile.ZipFile(file).infolist()
        except Exception as error:
            # For damaged bytes zipfile raises not only BadZipFile but also errors such as struct.error. So every
            # exception is caught.
            raise self._broken(f"{_first_line(error)} (its end is missing or damaged)") from error
        self._members = {member.filename: member for member in members}
        pickles = [name for name in self._members if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1 or len(self._members) != len(members):
            raise self._broken("the archive has no data.pkl")
        self._folder = pickles[0].partition("/")[0]
        self._swaps_bytes = self._is_of_other_byte_order()

    @property
    def is_program(self) -> bool:
        """Whether the archive is a TorchScript program, which runs code when it is loaded."""
        return f"{self._folder}/constants.pkl" in self._members

    def pickle(self) -> BytesIO:
        """Returns the pickle in the archive, which refers to the storages of tensors by the keys of their records."""
        return BytesIO(self._bytes(f"{self._folder}/data.pkl"))

    def storage(self, key: str, dtype: torch.dtype, length: int) -> torch.UntypedStorage:
        """Reads the storage with the key `key`, which must hold `length` values of `dtype`, into memory."""
        member = self._storage_member(key, dtype, length)
        memory = torch.UntypedStorage(member.file_size)
        if member.file_size:
            self._read_into(member, bytes_of(memory))
        if self._swaps_bytes:
            memory.byteswap(dtype)
        return memory

    def mapped_storage(
        self, file_storage: torch.UntypedStorage, key: str, dtype: torch.dtype, length: int
    ) -> torch.UntypedStorage:
        """Returns a storage of `length` values as a part of the memory-mapped archive `file_storage`.

        The values of an archive from a machine with another byte order are read into memory instead, because their
        bytes must be swapped.
        """
        member = self._storage_member(key, dtype, length)
        start = self._start_of(member)
        if self._swaps_bytes:
            return self.storage(key, dtype, length)
        part: Any = file_storage[start : start + member.file_size]
        return part  # type: ignore[no-any-return]  # a slice of a storage is a storage

    def check(self) -> None:
        """Compares every record of the archive with its checksum.

        Raises:
            BrokenCheckpointError: a record does not match its checksum.
        """
        buffer = memoryview(bytearray(_CHUNK))
        for member in self._members.values():
            self._checksum(member, buffer)

    def _storage_member(self, key: str, dtype: torch.dtype, length: int) -> zipfile.ZipInfo:
        member = self._members.get(f"{self._folder}/data/{key}")
        if member is None or member.file_size != length * dtype.itemsize:
            raise MalformedPickleError(f"it refers to the storage {key[:50]!r}, which is not there in that length")
        return member

    def _bytes(self, name: str) -> bytes:
        member = self._members[name]
        if member.file_size > self.size_bytes:
            raise self._broken(f"the record {name} is longer than the file")
        data = bytearray(member.file_size)
        self._read_into(member, memoryview(data))
        return bytes(data)

    def _read_into(self, member: zipfile.ZipInfo, target: memoryview) -> None:
        """Reads a record into `target`, and compares it with its checksum if the archive was opened with ``verify``.

        Raises:
            BrokenCheckpointError: the record is cut short, or does not match its checksum.
        """
        self._file.seek(self._start_of(member))
        checksum = 0
        for begin in range(0, len(target), _CHUNK):
            part = target[begin : begin + _CHUNK]
            if self._file.readinto(part) != len(part):  # type: ignore[attr-defined]  # files have readinto
                raise self._broken(f"the record {member.filename} is cut short")
            if self._verify:
                checksum = zlib.crc32(part, checksum)
        if self._verify:
            self._compare(member, checksum)

    def _checksum(self, member: zipfile.ZipInfo, buffer: memoryview) -> None:
        """Compares a record with its checksum; reads the record part by part into `buffer`, so little memory is used.

        Raises:
            BrokenCheckpointError: the record is cut short, or does not match its checksum.
        """
        self._file.seek(self._start_of(member))
        checksum, remaining = 0, member.file_size
        while remaining:
            part = buffer[: min(remaining, _CHUNK)]
            if self._file.readinto(part) != len(part):  # type: ignore[attr-defined]  # files have readinto
                raise self._broken(f"the record {member.filename} is cut short")
            checksum = zlib.crc32(part, checksum)
            remaining -= len(part)
        self._compare(member, checksum)

    def _compare(self, member: zipfile.ZipInfo, checksum: int) -> None:
        # torch.save writes 0 instead of a checksum if the user has called torch.serialization.set_crc32_options(False),
        # so a record with the checksum 0 is not compared.
        if member.CRC and checksum != member.CRC:
            raise self._broken(f"the record {member.filename} does not match its checksum")

    def _start_of(self, member: zipfile.ZipInfo) -> int:
        """Returns the position in the file at which the bytes of a record begin.

        Raises:
            BrokenCheckpointError: the header of the record is damaged, or the record reaches beyond the file's end.
        """
        if member.compress_type != zipfile.ZIP_STORED:
            raise self._broken(f"the record {member.filename} is compressed")
        if not 0 <= member.header_offset <= self.size_bytes - _LOCAL_HEADER.size:
            raise self._broken(f"the record {member.filename} lies beyond the end of the file")
        self._file.seek(member.header_offset)
        header = _LOCAL_HEADER.unpack(self._file.read(_LOCAL_HEADER.size))
        name = self._file.read(header[-2])
        if header[0] != _MAGIC or name != member.orig_filename.encode():
            raise self._broken(f"the header of the record {member.filename} is damaged")
        start: int = member.header_offset + _LOCAL_HEADER.size + header[-2] + header[-1]
        if start + member.file_size > self.size_bytes:
            raise self._broken(f"the record {member.filename} is cut short")
        return start

    def _is_of_other_byte_order(self) -> bool:
        name = f"{self._folder}/byteorder"
        member = self._members.get(name)
        if member is None or member.file_size > _LARGEST_SMALL_RECORD:
            return False
        return self._bytes(name) in (b"little", b"big") and self._bytes(name) != sys.byteorder.encode()

    def _broken(self, reason: str) -> BrokenCheckpointError:
        return BrokenCheckpointError(self._shown, reason)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    if not text:
        return type(error).__name__
    return text.splitlines()[0]
