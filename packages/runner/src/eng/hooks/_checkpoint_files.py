"""Checkpoint files after they are written: removing old ones, publishing small copies."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def remove_checkpoint(path: str, backend_args: dict[str, Any] | None) -> None:
    """Removes a checkpoint, a file or a folder; one that is gone already or cannot be removed is only reported."""
    from eng.fileio import isdir, remove, rmtree

    try:
        if isdir(path, backend_args=backend_args):
            rmtree(path, backend_args=backend_args)
        else:
            remove(path, backend_args=backend_args)
    except OSError as error:
        logger.warning("The old checkpoint %s stays: %s", path, error)


def publish(path: str, keys: list[str], backend_args: dict[str, Any] | None) -> str:
    """Writes a copy of a checkpoint with some of its keys, named by its content.

    Args:
        path: the checkpoint.
        keys: the keys to keep; missing ones are reported.
        backend_args: options of the storage.

    Returns:
        Where the copy is: ``<name>-<first 8 digits of its SHA-256>.pth``.
    """
    from eng.checkpoint import CheckpointLoader, save_checkpoint
    from eng.fileio import copyfile, get

    checkpoint = CheckpointLoader.load_checkpoint(path, map_location="cpu")
    missing = [key for key in keys if key not in checkpoint]
    if missing:
        logger.warning("%s holds no %s to publish", path, " and no ".join(missing))
    stem = path[: -len(Path(path).suffix)] if Path(path).suffix else path
    draft = f"{stem}-draft.pth"
    save_checkpoint({key: checkpoint[key] for key in keys if key in checkpoint}, draft, backend_args=backend_args)
    digest = hashlib.sha256(get(draft, backend_args=backend_args)).hexdigest()[:8]
    final = f"{stem}-{digest}.pth"
    copyfile(draft, final, backend_args=backend_args)
    remove_checkpoint(draft, backend_args)
    return final
