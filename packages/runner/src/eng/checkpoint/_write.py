"""Writing a checkpoint so that it exists whole or not at all."""

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
    """Writes a checkpoint; under `filename` there is the old file or the whole new one, whatever happens.

    A local file is written aside in the same folder, flushed to the disk, verified against its checksums and then
    renamed. A remote one appears when all of it has arrived; while the storage is out of reach, sending it is tried again for the
    ``patience_s`` of `backend_args` (600 s by default), and S3 keeps the parts that have arrived.

    Args:
        checkpoint: of tensors and plain Python values, so that any ``torch.load`` can read it.
        filename: path, or an address such as ``s3://bucket/name.pth``.
        file_client_args: as MMEngine took it; use `backend_args`.
        backend_args: for the storage backend, see :func:`eng.fileio.get_file_backend`.

    Raises:
        CheckpointWriteError: the disk is full, the folder is read-only or the like. Nothing is left behind.
        ValueError: both kinds of arguments are given.

    Examples:
        >>> import tempfile, torch
        >>> folder = tempfile.mkdtemp()
        >>> save_checkpoint({"state_dict": {"weight": torch.ones(2)}}, f"{folder}/epoch_1.pth")
        >>> torch.load(f"{folder}/epoch_1.pth")["state_dict"]["weight"]
        tensor([1., 1.])
    """
    if file_client_args is not None and backend_args is not None:
        raise ValueError("give backend_args only; file_client_args is its old name")
    storage_args = backend_args if backend_args is not None else file_client_args
    name = os.fspath(filename)
    local = local_path(name, storage_args)
    if local is not None:
        write_whole(local, lambda file: torch.save(checkpoint, file), verify_written)
        return
    from eng.fileio import get_file_backend

    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    backend = get_file_backend(name, backend_args=storage_args)
    put = getattr(backend, "put_resumable", backend.put)
    put(buffer.getvalue(), name)


def verify_written(path: Path) -> None:
    """Checksums, and a reading as anybody does it: without the types that only our own loading takes."""
    check_records(path)
    try:
        torch.load(path, map_location="cpu", mmap=can_be_mapped(path), weights_only=True)
    except pickle.UnpicklingError as error:
        _LOGGER.warning(
            "a checkpoint holds a type that plain torch.load(path) refuses (%s); keep to tensors and plain Python values",
            " ".join(str(error).rpartition("WeightsUnpickler error:")[2].split())[:120],
        )


def local_path(filename: str, storage_args: dict[str, Any] | None) -> Path | None:
    """`filename` as a path of this machine; None where another storage holds it."""
    filename = filename.removeprefix("file://")
    local_backend = not storage_args or storage_args.get("backend") in (None, "local", "disk")
    return Path(filename) if local_backend and "://" not in filename and not filename.startswith("s3:") else None


def write_whole(path: Path, write: Callable[[BinaryIO], Any], verify: Callable[[Path], None] | None = None) -> None:
    """Makes `path` hold what `write` writes, in one step: a reader sees the old file or the new one.

    Args:
        path: the file; its folder is made if need be.
        write: gets a binary file.
        verify: looks at the finished file before it gets its name, and raises if it is not as it should be.

    Raises:
        CheckpointWriteError: writing, flushing or verifying failed. What was there under `path` is untouched.
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
        # torch reports a failed write as a RuntimeError.
        raise CheckpointWriteError(str(path), _explain(path.parent, error)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_pointer(folder: str | Path, target: str | Path, name: str = POINTER) -> None:
    """Makes the file `name` in `folder` say that `target` is the newest checkpoint.

    Raises:
        CheckpointWriteError: as for :func:`write_whole`.
    """
    write_whole(Path(folder) / name, lambda file: file.write(os.fsencode(target)))


def _remove_abandoned(folder: Path) -> None:
    """Removes partial files of processes of this machine that are gone (killed inside a save)."""
    for entry in os.scandir(folder):
        match = _PARTIAL.match(entry.name)
        if match and match["host"] == _host() and not _is_alive(int(match["pid"]), match["start"]):
            _LOGGER.info("removing %s, left by a process that was killed while saving", entry.path)
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()


def _is_alive(pid: int, start: str | None) -> bool:
    """Whether the process that wrote a file runs; `start` tells it from a later one of the same number."""
    now = _process(pid).partition(".")[2]
    if start and now and start != now:
        return False
    return is_alive({"host": socket.gethostname(), "pid": pid})


def _process(pid: int) -> str:
    """The number of a process, with a digest of its start where the system tells that."""
    start = start_of(pid)
    return f"{pid}.{zlib.crc32(start.encode()):08x}" if start else str(pid)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", socket.gethostname())


def _flush_folder(folder: Path) -> None:
    """The new name itself has to reach the disk, where the system lets us flush a folder."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network file systems refuse; the file itself is safe
        _LOGGER.debug("the folder %s cannot be flushed: %s", folder, error)
    finally:
        os.close(descriptor)


def _explain(folder: Path, error: Exception) -> str:
    reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if not folder.is_dir():
        return f"{reason} (the folder {folder} does not exist and cannot be made)"
    if not os.access(folder, os.W_OK):
        return f"{reason} (the folder {folder} is read-only)"
    free_mb = shutil.disk_usage(folder).free / 2**20
    return f"{reason} ({free_mb:.0f} MB are free in {folder})"
