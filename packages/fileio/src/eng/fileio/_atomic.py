"""A local file that exists whole or not at all."""

# os functions take str and PathLike alike, and at a third of the cost of a Path.
# ruff: noqa: PTH101, PTH103, PTH105, PTH108, PTH116, PTH118, PTH120, PTH123

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from eng.fileio._uri import PathLike

__all__ = ["atomic_write"]


@contextmanager
def atomic_write(
    path: PathLike, mode: str = "wb", *, encoding: str | None = None, sync: bool = True
) -> Iterator[IO[Any]]:
    """A file object whose content becomes `path` when the block ends without an exception.

    The bytes go to a hidden temporary file in the same directory, are flushed to the disk, and are renamed over the
    target. A reader sees the old file or the new one; an exception, a full disk or a kill leaves the old one intact.
    Missing parent directories are made. A symbolic link is followed, a device or a pipe is written directly.

    Args:
        path: the target. Its permission bits are kept where it exists; a new file gets those of the umask.
        mode: ``"wb"`` or ``"w"``.
        encoding: of text; UTF-8 by default.
        sync: wait until the disk holds the bytes before renaming. False is faster and survives a killed process, but
            not a power cut.

    Raises:
        ValueError: `mode` is another one.
        IsADirectoryError: `path` is a directory.

    Example:
        >>> import tempfile, pathlib
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
        >>> with atomic_write(target) as file:
        ...     _ = file.write(b"whole")
        >>> target.read_bytes()
        b'whole'
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"atomic_write writes whole files: mode is 'w' or 'wb', not {mode!r}")
    if mode == "w":
        encoding = encoding or "utf-8"
    target = os.path.realpath(path)
    permissions = _permissions(target)
    if permissions is None:
        with open(target, mode, encoding=encoding) as file:
            yield file
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    temporary = os.path.join(os.path.dirname(target), f".eng-{os.urandom(8).hex()}.tmp")
    try:
        # O_CREAT with 0666 lets the kernel apply the umask, which no thread-safe call can read.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with open(descriptor, mode, encoding=encoding) as file:
            yield file
            file.flush()
            if permissions:
                os.chmod(temporary, permissions)
            if sync:
                os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if sync:
        _sync_directory(os.path.dirname(target))


def _permissions(target: str) -> int | None:
    """Bits to keep, 0 where the file is new, None where the target cannot be replaced (a device, a pipe)."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return 0
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "this is a directory; name the file to write inside it", target)
    if stat.S_ISREG(mode):
        return stat.S_IMODE(mode)
    return None


def _sync_directory(directory: str) -> None:
    with suppress(OSError):  # some file systems cannot sync a directory; the file itself is safe by then
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
