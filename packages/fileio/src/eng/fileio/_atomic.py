"""Writes a local file atomically: a reader sees the complete old file or the complete new one."""

# The functions of os and os.path are used, because they take a third of the time of the methods of pathlib.Path.
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
    """Opens a file object whose content replaces `path` when the ``with`` block ends without an exception.

    The bytes are written to a hidden temporary file in the same directory, flushed to disk, and renamed to the target.
    Another process that reads `path` sees the complete old or the complete new content. An exception, a full disk or a
    killed process leaves the old file intact. Missing parent directories are created. If `path` is a symbolic link, the
    file that it points to is replaced. A device or pipe is written directly, without a temporary file.

    Args:
        path: the target file. An existing file keeps its permissions; a new file gets the permissions that the umask
            of the process allows.
        mode: ``"wb"`` or ``"w"``.
        encoding: text encoding; UTF-8 by default.
        sync: whether to wait until the bytes are on disk before renaming. False is faster and safe if the process is
            killed, but not after a power failure.

    Raises:
        ValueError: `mode` is neither ``"wb"`` nor ``"w"``.
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
        # With mode 0666 the kernel applies the umask to the new file. Python cannot read the umask without setting it,
        # which would affect files that other threads create at that moment.
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
    """Returns the permission bits of an existing file; 0 if there is no such file, None for a device or pipe.

    Raises IsADirectoryError for a directory.
    """
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
    """Flushes a directory to disk, so that a renamed file keeps its new name after a power failure.

    Some file systems cannot do so. The error is ignored, because the content of the file is on disk already.
    """
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
