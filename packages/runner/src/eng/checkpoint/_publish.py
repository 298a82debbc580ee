"""Publish a checkpoint: a copy without training state, named by a hash of its content."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

import torch

from ._folder import is_sharded
from ._loader import load_from_storage
from ._open import open_checkpoint, write_checkpoint
from ._read import read_checkpoint
from ._text import visible
from ._write import local_path, save_checkpoint
from .errors import BrokenCheckpointError

__all__ = ["publish_checkpoint"]

_LOGGER = logging.getLogger(__name__)


def publish_checkpoint(
    source: str | os.PathLike[str],
    keys: Sequence[str] = ("meta", "state_dict"),
    out_dir: str | os.PathLike[str] | None = None,
    backend_args: dict[str, Any] | None = None,
) -> str:
    """Writes a copy of a checkpoint for publication: with the entries `keys` alone, and a hash in its file name.

    Args:
        source: path or address of the checkpoint, in any storage of :mod:`eng.fileio`; or the local folder of a sharded
            checkpoint, whose copy is one file.
        keys: names of the entries that are copied, such as ``state_dict``; an entry that the checkpoint does not have
            is left out with a warning.
        out_dir: folder of the copy; None (default) is the folder of `source`.
        backend_args: arguments of the storage backend, see :func:`eng.fileio.get_file_backend`.

    Returns:
        path of the copy, ``{name}-{first 8 digits of its SHA-256}.pth``; the digits let a download be verified.

    Raises:
        KeyError: the checkpoint has none of `keys`.
        BrokenCheckpointError: the checkpoint is damaged.
        CheckpointWriteError: the copy could not be written.
    """
    name = os.fspath(source)
    checkpoint = _read(name, backend_args)
    if not isinstance(checkpoint, Mapping):
        raise BrokenCheckpointError(name, f"it holds a {type(checkpoint).__name__}, not a dict")
    missing = [key for key in keys if key not in checkpoint]
    if len(missing) == len(keys):
        raise KeyError(
            f"{name} has none of {', '.join(keys)}; it has {visible(', '.join(map(str, checkpoint))) or 'no key'}"
        )
    if missing:
        _LOGGER.warning("%s holds no %s to publish", name, " and no ".join(missing))
    content = {key: checkpoint[key] for key in keys if key in checkpoint}
    stem = _without_suffix(name, out_dir, backend_args)
    if is_sharded(name):
        return _publish_stored(content, Path(stem))
    published = f"{stem}-{_digest(content)[:8]}.pth"
    save_checkpoint(content, published, backend_args=backend_args)
    return published


def _read(name: str, backend_args: dict[str, Any] | None) -> Any:
    local = local_path(name, backend_args)
    if local is not None and is_sharded(local):
        return open_checkpoint(local, verify=True)
    if local is not None:
        return read_checkpoint(local, map_location="cpu")
    return load_from_storage(name, "cpu", backend_args)


def _publish_stored(checkpoint: dict[str, Any], stem: Path) -> str:
    """Writes a sharded checkpoint into one file, and then renames the file to include a hash of its content.

    The tensors are copied block by block, so the complete checkpoint is never in memory.

    Args:
        checkpoint: the opened checkpoint, with tensors on the disk.
        stem: path of the new file without the hash and ``.pth``.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".publish-", dir=stem.parent) as folder:
        unnamed = Path(folder) / "checkpoint.pth"
        write_checkpoint(checkpoint, unnamed)
        sink = _Hashing()
        with unnamed.open("rb") as file:
            shutil.copyfileobj(file, sink)
        published = stem.with_name(f"{stem.name}-{sink.sha256.hexdigest()[:8]}.pth")
        unnamed.replace(published)
    return str(published)


def _without_suffix(name: str, out_dir: str | os.PathLike[str] | None, backend_args: dict[str, Any] | None) -> str:
    if out_dir is None:
        return name.removesuffix(PurePosixPath(name).suffix)
    from eng.fileio import join_path

    return str(join_path(os.fspath(out_dir), PurePosixPath(name).stem, backend_args=backend_args))


def _digest(checkpoint: dict[str, Any]) -> str:
    """Returns the SHA-256 of the file that :func:`save_checkpoint` will write for a checkpoint.

    The name of the published file contains the hash, and must be known before the file is written.
    """
    sink = _Hashing()
    torch.save(checkpoint, cast("BinaryIO", sink))
    return sink.sha256.hexdigest()


class _Hashing(io.RawIOBase):
    """A writable file that computes the SHA-256 of the bytes written to it, and stores none of them."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return len(data)
