"""Making a checkpoint ready to be handed out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from ._read import read_checkpoint
from ._write import save_checkpoint

__all__ = ["publish_checkpoint"]


def publish_checkpoint(
    source: str | os.PathLike[str],
    keys: Sequence[str] = ("meta", "state_dict"),
    out_dir: str | os.PathLike[str] | None = None,
) -> str:
    """Writes a copy of a checkpoint with some of its entries, named by its content.

    Args:
        source: the checkpoint.
        keys: entries of the copy; those that the checkpoint has not are left out.
        out_dir: folder of the copy, that of `source` by default.

    Returns:
        Path of the copy: ``{name}-{first 8 digits of its SHA-256}.pth``, by which a download can be checked.

    Raises:
        KeyError: the checkpoint has none of `keys`.
        BrokenCheckpointError: it is not whole.
    """
    source = Path(source)
    checkpoint = read_checkpoint(source, map_location="cpu")
    kept = {key: checkpoint[key] for key in keys if key in checkpoint}
    if not kept:
        raise KeyError(f"{source} has none of {', '.join(keys)}; it has {', '.join(map(str, checkpoint))}")
    folder = Path(out_dir) if out_dir is not None else source.parent
    aside = folder / f".{source.stem}.publishing"
    save_checkpoint(kept, aside)
    with aside.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read())
    published = folder / f"{source.stem}-{digest.hexdigest()[:8]}.pth"
    aside.replace(published)
    return str(published)
