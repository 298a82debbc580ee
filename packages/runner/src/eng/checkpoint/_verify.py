"""Whether a checkpoint file is whole."""

from __future__ import annotations

import mmap
import struct
import zipfile
import zlib
from pathlib import Path

from ._read import read_checkpoint
from .errors import BrokenCheckpointError, UntrustedCheckpointError

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # of a zip member; the last two are the lengths of its name and extra field


def verify_checkpoint(path: str | Path) -> None:
    """Checks each record of a checkpoint file against the checksum stored with it, and that torch can read its parts.

    Args:
        path: of a file that :func:`torch.save` or :func:`save_checkpoint` wrote. A file in torch's format of before
            1.6, which has no checksums, is read instead.

    Raises:
        BrokenCheckpointError: it is cut short or damaged.
        UntrustedCheckpointError: it is in the old format and holds types that are not known to be harmless.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if path.stat().st_size == 0:
        raise BrokenCheckpointError(str(path), "it is empty")
    if not _starts_like_zip(path):
        read_checkpoint(path, map_location="cpu")
        return
    check_records(path)
    try:
        read_checkpoint(path, map_location="cpu", mmap=can_be_mapped(path))
    except UntrustedCheckpointError:
        # Whole all the same; whoever loads it decides about trust.
        return


def can_be_mapped(path: Path) -> bool:
    """Whether torch can map the file into memory: its C++ reader takes the path as UTF-8.

    In a locale that is not UTF-8, Python holds the other bytes of a path as surrogates, which UTF-8 cannot encode.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_records(path: Path) -> None:
    """Checks each record of a checkpoint in torch's zip format against its checksum.

    Raises:
        BrokenCheckpointError: one does not match, or the archive is cut short or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            _check_members(path, archive, file.fileno())
    except BrokenCheckpointError:
        raise
    except (zipfile.BadZipFile, struct.error, OSError, NotImplementedError, ValueError) as error:
        raise BrokenCheckpointError(str(path), f"{error} (its end is missing or damaged)") from error


def _check_members(path: Path, archive: zipfile.ZipFile, descriptor: int) -> None:
    names = [member.filename for member in archive.infolist()]
    if not any(name.endswith("/data.pkl") for name in names):
        raise BrokenCheckpointError(str(path), "the archive has no data.pkl")
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        try:
            for member in archive.infolist():
                # torch can be told to write no checksums; it stores 0 then.
                if member.CRC and _checksum(view, member) != member.CRC:
                    raise BrokenCheckpointError(str(path), f"the record {member.filename} does not match its checksum")
        finally:
            view.release()


def _checksum(view: memoryview, member: zipfile.ZipInfo) -> int:
    if member.compress_type != zipfile.ZIP_STORED:
        raise zipfile.BadZipFile(f"the record {member.filename} is compressed")
    header = _LOCAL_HEADER.unpack_from(view, member.header_offset)
    name_start = member.header_offset + _LOCAL_HEADER.size
    name = bytes(view[name_start : name_start + header[-2]])
    if header[0] != b"PK\x03\x04" or name != member.orig_filename.encode():
        raise zipfile.BadZipFile(f"the header of the record {member.filename} is damaged")
    start = name_start + header[-2] + header[-1]
    with view[start : start + member.file_size] as record:
        return zlib.crc32(record)


def _starts_like_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
