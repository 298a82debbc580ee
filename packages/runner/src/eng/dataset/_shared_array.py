"""Read-only arrays in shared memory: one copy for all workers and ranks of a machine.

The bytes are in an anonymous memory file (``memfd``) that is sealed against changes. The operating system frees it when
the last process that maps it ends, so a killed process leaves nothing behind. Other processes get the memory

* by fork: a worker inherits the mapping;
* by spawn or forkserver: the pickled array contains the file descriptor instead of the bytes;
* on another rank of the machine: a symbolic link in a private folder points to the first rank's descriptor in
  ``/proc``. The bytes are compared before they are used, so a stale or foreign link costs time but does no harm.

On systems without ``memfd`` (macOS) an unlinked temporary file is used instead.
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
    """A file in shared memory, memory-mapped into this process; its bytes do not change after its creation.

    Args:
        descriptor: descriptor of the open file; it is closed when this object is garbage-collected.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.map = mmap.mmap(descriptor, self.size, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
        weakref.finalize(self, os.close, descriptor)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _inherit, (reduction.DupFd(self.descriptor),)

    def view(self, dtype: Any, offset: int, count: int) -> SharedArray:
        """Returns a part of the file as a read-only array, without copying it.

        Args:
            dtype: numpy dtype of the array.
            offset: position of the array's first byte in the file.
            count: number of values in the array.
        """
        array = np.frombuffer(self.map, dtype=dtype, count=count, offset=offset).view(SharedArray)
        array.source = (self, np.dtype(dtype).str, offset, count)
        return array


class SharedArray(np.ndarray):
    """A read-only numpy array in shared memory, whose memory worker processes share instead of copying it.

    If the array is pickled for a process that is being started, the pickle contains a file descriptor of the shared
    memory. Any other pickle, for example in a file, contains a copy of the values.
    """

    source: tuple[SharedMemoryFile, str, int, int] | None = None

    def __array_finalize__(self, obj: Any) -> None:
        self.source = None  # A slice or a copy of the array is pickled with its values, like an ordinary array.

    def __reduce__(self) -> Any:
        if self.source is not None and context.get_spawning_popen() is not None:
            return _view, self.source
        return np.array(self, copy=True, subok=False).__reduce__()

    def __deepcopy__(self, memo: dict[int, Any] | None) -> Any:
        if self.source is not None:
            return self
        return np.array(self, copy=True, subok=False)


def _inherit(handle: Any) -> SharedMemoryFile:
    return SharedMemoryFile(handle.detach())


def _view(file: SharedMemoryFile, dtype: str, offset: int, count: int) -> SharedArray:
    return file.view(dtype, offset, count)


def share(chunks: Iterable[bytes], lengths: list[int], ranks: int = 1) -> tuple[SharedArray, SharedArray]:
    """Writes pickled records into shared memory, one copy per machine.

    Args:
        chunks: the bytes of all records, in pieces of any size, which are read one at a time.
        lengths: number of bytes of each record; the list may be filled while `chunks` is read.
        ranks: number of ranks of the job on this machine. If there are several, all have the same records, and share
            the memory of the rank that finished first.

    Returns:
        the records one after another as ``(bytes,) uint8``, and the position at which each record ends in this array as
        ``(records,) int64``.

    Raises:
        OSError: the system has not enough memory for the records.
    """
    descriptor = _new_file()
    try:
        size = sum(_write(descriptor, chunk) for chunk in chunks)
        ends = np.cumsum(np.asarray(lengths, dtype=np.int64))
        offset = size + -size % _ALIGNMENT
        _write(descriptor, bytes(offset - size) + ends.tobytes())
        if not size:
            _write(descriptor, bytes(_ALIGNMENT))  # An empty file cannot be memory-mapped.
        _seal(descriptor)
        if ranks > 1:
            descriptor = _share_with_ranks(descriptor, ends)
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

        with contextlib.suppress(AttributeError):  # Not all builds of Python define fcntl.F_ADD_SEALS and so on.
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)


def _write(descriptor: int, chunk: bytes) -> int:
    unwritten = memoryview(chunk)
    while unwritten:
        unwritten = unwritten[os.write(descriptor, unwritten) :]
    return len(chunk)


def _share_with_ranks(descriptor: int, ends: Any) -> int:
    """Replaces this rank's file in shared memory by the equal file of another rank, so the machine keeps one copy.

    The rank that comes first creates, in a temporary folder, a symbolic link to its file descriptor. Every other rank
    opens the first rank's file by this link. If both files hold the same bytes, the rank closes its own file and uses
    the first rank's file; otherwise it keeps its own.

    Args:
        descriptor: file descriptor of this rank's file.
        ends: byte offsets at which the records of the file end. The name of the link is a hash of them, so that only
            ranks with the same dataset find each other.

    Returns:
        the file descriptor to use; `descriptor` if this rank is the first, or sharing is impossible.
    """
    link = _link_path(descriptor, ends)
    if link is None:
        return descriptor
    ours = f"/proc/{os.getpid()}/fd/{descriptor}"
    # Another rank may create or remove the link between these steps, so they are tried up to three times.
    for _ in range(3):
        try:
            link.symlink_to(ours)
            return descriptor
        except FileExistsError:
            theirs = _open_equal(link, descriptor)
        except OSError:
            return descriptor  # The temporary folder is read-only or full, so every rank keeps its own file.
        if theirs is not None:
            os.close(descriptor)
            return theirs
        with contextlib.suppress(FileNotFoundError):
            link.unlink()  # The process that created the link has ended, or its file has other bytes.
    return descriptor


def _link_path(descriptor: int, ends: Any) -> Path | None:
    """Returns the path of the symbolic link by which ranks find a file in shared memory with the same content.

    None is returned if the system has no ``/proc``, or if other users may write to the folder of the links.

    Args:
        descriptor: file descriptor of the shared memory.
        ends: the ends of the records in the shared memory.
    """
    if not Path("/proc/self/fd").is_dir():
        return None
    folder = Path(tempfile.gettempdir(), f"eng-dataset-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        return None  # Another user owns the folder or may write to it, so its links are not trusted.
    digest = hashlib.blake2b(ends.tobytes(), digest_size=16)
    digest.update(os.pread(descriptor, _EDGE, 0))
    return folder / digest.hexdigest()


def _open_equal(link: Path, descriptor: int) -> int | None:
    """Opens the file that a link names; returns None if this fails, or its bytes differ from those of `descriptor`."""
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
