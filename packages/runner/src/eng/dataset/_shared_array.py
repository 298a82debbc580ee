"""Read-only arrays that the processes of a machine share: one copy, however many workers and ranks look at it.

The bytes lie in an anonymous memory file (``memfd``), sealed against change, that lives as long as somebody maps it:
nothing is left behind by a process that is killed. A worker gets it

* by fork: the mapping is inherited;
* by spawn or forkserver: the pickled array carries the file descriptor, not the bytes;
* on another rank of the machine: a link in a private folder names the first rank's descriptor in ``/proc``. What is found
  there is compared byte for byte before it is used, so a stale or foreign link costs time and nothing else.

Where there is no ``memfd`` (macOS) an unlinked temporary file takes its place.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterable
from multiprocessing import context, reduction
from pathlib import Path
from typing import Any

import numpy as np

_ALIGNMENT = 8
_EDGE = 1 << 20
_COMPARE = 1 << 24


class SharedMemoryFile:
    """A file of bytes that nobody changes any more, mapped into this process.

    Args:
        descriptor: an open file; this object closes it when it goes.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.map = mmap.mmap(descriptor, self.size, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
        weakref.finalize(self, os.close, descriptor)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _inherit, (reduction.DupFd(self.descriptor),)

    def view(self, dtype: Any, offset: int, count: int) -> SharedArray:
        """``count`` numbers of ``dtype`` from byte ``offset`` on; read-only, nothing is copied."""
        array = np.frombuffer(self.map, dtype=dtype, count=count, offset=offset).view(SharedArray)
        array.source = (self, np.dtype(dtype).str, offset, count)
        return array


class SharedArray(np.ndarray):
    """A read-only array in shared memory; it travels to a starting process as a handle, anywhere else as its numbers."""

    source: tuple[SharedMemoryFile, str, int, int] | None = None

    def __array_finalize__(self, obj: Any) -> None:
        self.source = None  # a slice or a copy is an ordinary array

    def __reduce__(self) -> Any:
        if self.source is not None and context.get_spawning_popen() is not None:
            return _view, self.source
        return np.array(self, copy=True, subok=False).__reduce__()

    def __deepcopy__(self, memo: dict[int, Any] | None) -> Any:
        return self if self.source is not None else np.array(self, copy=True, subok=False)


def _inherit(handle: Any) -> SharedMemoryFile:
    return SharedMemoryFile(handle.detach())


def _view(file: SharedMemoryFile, dtype: str, offset: int, count: int) -> SharedArray:
    return file.view(dtype, offset, count)


def share(chunks: Iterable[bytes], lengths: list[int], ranks: int = 1) -> tuple[SharedArray, SharedArray]:
    """One shared copy of records.

    Args:
        chunks: the records, one after another, in pieces of any size; consumed piece by piece.
        lengths: bytes of each record, filled by the time ``chunks`` ends.
        ranks: processes on this machine that share the same records, such as ranks of one job.

    Returns:
        The records as ``(bytes,) uint8`` and the end of each as ``(records,) int64``.

    Raises:
        OSError: the system has no memory left for them.
    """
    descriptor = _new_file()
    try:
        size = sum(_write(descriptor, chunk) for chunk in chunks)
        ends = np.cumsum(np.asarray(lengths, dtype=np.int64))
        offset = size + -size % _ALIGNMENT
        _write(descriptor, bytes(offset - size) + ends.tobytes())
        if not size:
            _write(descriptor, bytes(_ALIGNMENT))  # an empty file cannot be mapped
        _seal(descriptor)
        descriptor = _published(descriptor, ends) if ranks > 1 else descriptor
        file = SharedMemoryFile(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return file.view(np.uint8, 0, size), file.view(np.int64, offset, len(ends))


def _new_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("eng-dataset", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    descriptor, path = tempfile.mkstemp(prefix="eng-dataset-")
    Path(path).unlink()
    return descriptor


def _seal(descriptor: int) -> None:
    if hasattr(os, "memfd_create"):
        import fcntl

        with contextlib.suppress(AttributeError):  # the names came with Python 3.9 on Linux
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)


def _write(descriptor: int, chunk: bytes) -> int:
    unwritten = memoryview(chunk)
    while unwritten:
        unwritten = unwritten[os.write(descriptor, unwritten) :]
    return len(chunk)


def _published(descriptor: int, ends: Any) -> int:
    """The descriptor of the first process that shared the same bytes; ours, when we are it."""
    link = _link_path(descriptor, ends)
    if link is None:
        return descriptor
    ours = f"/proc/{os.getpid()}/fd/{descriptor}"
    for _ in range(3):
        try:
            link.symlink_to(ours)
            return descriptor
        except FileExistsError:
            theirs = _open_equal(link, descriptor)
        except OSError:
            return descriptor  # a read-only or full temporary folder: every rank keeps its own copy
        if theirs is not None:
            os.close(descriptor)
            return theirs
        with contextlib.suppress(FileNotFoundError):
            link.unlink()  # its process is gone, and its memory with it
    return descriptor


def _link_path(descriptor: int, ends: Any) -> Path | None:
    """Where processes of this user look for an array with the same content; None where links cannot be trusted."""
    if not Path("/proc/self/fd").is_dir():
        return None
    folder = Path(tempfile.gettempdir(), f"eng-dataset-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        return None  # somebody else's folder under our name: trust nothing in it
    digest = hashlib.blake2b(ends.tobytes(), digest_size=16)
    digest.update(os.pread(descriptor, _EDGE, 0))
    return folder / digest.hexdigest()


def _open_equal(link: Path, descriptor: int) -> int | None:
    try:
        theirs = os.open(link, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    if _same_bytes(theirs, descriptor):
        return theirs
    os.close(theirs)
    return None


def _same_bytes(first: int, second: int) -> bool:
    size = os.fstat(first).st_size
    if size != os.fstat(second).st_size:
        return False
    return all(os.pread(first, _COMPARE, at) == os.pread(second, _COMPARE, at) for at in range(0, size, _COMPARE))
