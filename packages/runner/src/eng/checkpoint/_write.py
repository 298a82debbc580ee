"""Write a checkpoint atomically: after a crash the file is either complete or does not exist."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import re
import shutil
import socket
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from eng.logging.process import is_alive, start_of

from ._read import can_be_mapped
from ._verify import check_records
from .errors import BrokenCheckpointError, CheckpointWriteError

__all__ = ["save_checkpoint", "write_pointer", "write_whole"]

_LOGGER = logging.getLogger(__name__)
_PARTIAL = re.compile(r"^\..+\.(?P<host>[^.]*)-(?P<pid>\d+)(\.(?P<start>[0-9a-f]{8}))?-[0-9a-f]{8}\.partial$")
POINTER = "last_checkpoint"


def save_checkpoint(
    checkpoint: dict[str, Any],
    filename: str | os.PathLike[str],
    file_client_args: dict[str, Any] | None = None,
    backend_args: dict[str, Any] | None = None,
) -> None:
    """Writes a checkpoint atomically: `filename` is either the old file or the complete new file, also after a crash.

    A local file is written under a temporary name in the same folder, flushed to the disk, compared with its checksums
    and then renamed. A remote file appears when the upload is complete. If the storage cannot be reached, the upload is
    tried again for ``patience_s`` of `backend_args` (600 s by default); on S3 it resumes with the missing parts.

    Args:
        checkpoint: a dict of tensors and plain Python values, so that any ``torch.load`` can read the file.
        filename: path, or an address such as ``s3://bucket/name.pth``.
        file_client_args: MMEngine's older name of `backend_args`.
        backend_args: arguments of the storage backend, see :func:`eng.fileio.get_file_backend`.

    Raises:
        CheckpointWriteError: writing failed, for example because the disk is full or the folder is read-only. No
            partial file is left.
        ValueError: both `file_client_args` and `backend_args` are given.

    Examples:
        >>> import tempfile, torch
        >>> folder = tempfile.mkdtemp()
        >>> save_checkpoint({"state_dict": {"weight": torch.ones(2)}}, f"{folder}/epoch_1.pth")
        >>> torch.load(f"{folder}/epoch_1.pth")["state_dict"]["weight"]
        tensor([1., 1.])
    """
    if file_client_args is not None and backend_args is not None:
        raise ValueError("give backend_args only; file_client_args is its old name")
    if backend_args is None:
        backend_args = file_client_args
    name = os.fspath(filename)
    local = local_path(name, backend_args)
    if local is not None:
        write_whole(local, lambda file: torch.save(checkpoint, file), verify_written)
        return
    from eng.fileio import get_file_backend

    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    backend = get_file_backend(name, backend_args=backend_args)
    put = getattr(backend, "put_resumable", backend.put)
    put(buffer.getvalue(), name)


def verify_written(path: Path) -> None:
    """Compares a new checkpoint file with its checksums, and warns if ``torch.load`` with its defaults cannot read it.

    ``torch.load`` with ``weights_only=True``, its default, refuses some types that :func:`load_checkpoint` accepts.
    """
    check_records(path)
    try:
        torch.load(path, map_location="cpu", mmap=can_be_mapped(path), weights_only=True)
    except pickle.UnpicklingError as error:
        _LOGGER.warning(
            "a checkpoint holds a type that plain torch.load(path) refuses (%s); keep to tensors and plain Python values",
            " ".join(str(error).rpartition("WeightsUnpickler error:")[2].split())[:120],
        )


def local_path(filename: str, storage_args: dict[str, Any] | None) -> Path | None:
    """Returns `filename` as a local path; None if the file is in a remote storage."""
    filename = filename.removeprefix("file://")
    is_local = not storage_args or storage_args.get("backend") in (None, "local", "disk")
    if not is_local or "://" in filename or filename.startswith("s3:"):
        return None
    return Path(filename)


def write_whole(path: Path, write: Callable[[BinaryIO], Any], verify: Callable[[Path], None] | None = None) -> None:
    """Writes a file atomically: a reader sees either the old file or the complete new one.

    Args:
        path: path of the file; its folder is created if it does not exist.
        write: writes the content; called with a temporary file, open for binary writing.
        verify: checks the temporary file before it is renamed to `path`, and raises if it is not intact.

    Raises:
        CheckpointWriteError: writing, flushing or verifying failed. The file at `path` is unchanged.
    """
    partial = path.with_name(f".{path.name}.{_host()}-{_process(os.getpid())}-{uuid.uuid4().hex[:8]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        with partial.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if verify is not None:
            verify(partial)
        partial.replace(path)
        _flush_folder(path.parent)
    except (OSError, RuntimeError, BrokenCheckpointError) as error:
        # torch.save raises a RuntimeError, not an OSError, if a write fails, for example on a full disk. So both are
        # caught.
        raise CheckpointWriteError(str(path), _explain(path.parent, error)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_pointer(folder: str | Path, target: str | Path, name: str = POINTER) -> None:
    """Writes the pointer file `name` in `folder`, which names `target` as the newest checkpoint.

    Raises:
        CheckpointWriteError: the pointer file could not be written.
    """
    write_whole(Path(folder) / name, lambda file: file.write(os.fsencode(target)))


def _remove_abandoned(folder: Path) -> None:
    """Removes the temporary files in `folder` of processes of this machine that were killed while they saved."""
    for entry in os.scandir(folder):
        match = _PARTIAL.match(entry.name)
        if match and match["host"] == _host() and not _is_alive(int(match["pid"]), match["start"]):
            _LOGGER.info("removing %s, left by a process that was killed while saving", entry.path)
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()


def _is_alive(pid: int, start: str | None) -> bool:
    """Whether the process that wrote a temporary file is still running.

    Args:
        pid: number of the process.
        start: digest of the start time of the process, which tells the process from a later one with the same number;
            None if the operating system did not provide the time.
    """
    now = _process(pid).partition(".")[2]
    if start and now and start != now:
        return False
    return is_alive({"host": socket.gethostname(), "pid": pid})


def _process(pid: int) -> str:
    """Returns a text that identifies a process in the names of its temporary files.

    The text is the number of the process, and a digest of its start time where the operating system provides it.
    """
    start = start_of(pid)
    if not start:
        return str(pid)
    return f"{pid}.{zlib.crc32(start.encode()):08x}"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", socket.gethostname())


def _flush_folder(folder: Path) -> None:
    """Flushes a folder to the disk, so that the new file name survives a power failure; POSIX only."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # Some network file systems cannot flush a folder; the file itself has been flushed.
        _LOGGER.debug("the folder %s cannot be flushed: %s", folder, error)
    finally:
        os.close(descriptor)


def _explain(folder: Path, error: Exception) -> str:
    """Returns why a file could not be written to `folder`: the error, and what is wrong with the folder or the disk."""
    first_line = next(iter(str(error).splitlines()), "")
    reason = f"{type(error).__name__}: {first_line}"
    if not folder.is_dir():
        return f"{reason} (the folder {folder} does not exist and cannot be made)"
    if not os.access(folder, os.W_OK):
        return f"{reason} (the folder {folder} is read-only)"
    free_mb = shutil.disk_usage(folder).free / 2**20
    return f"{reason} ({free_mb:.0f} MB are free in {folder})"
