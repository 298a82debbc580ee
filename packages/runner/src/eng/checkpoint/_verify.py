"""Whether a checkpoint file is intact."""

from __future__ import annotations

from pathlib import Path

from ._archive import Archive, is_archive
from ._read import read_checkpoint
from .errors import BrokenCheckpointError, UntrustedCheckpointError


def verify_checkpoint(path: str | Path) -> None:
    """Checks each record of a checkpoint file against the checksum stored with it, and that its parts can be read.

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
    if not is_archive(path):
        read_checkpoint(path, map_location="cpu")
        return
    check_records(path)
    try:
        read_checkpoint(path, map_location="cpu", mmap=True)
    except UntrustedCheckpointError:
        # The bytes are intact; whoever loads the file decides about trust.
        return


def check_records(path: Path) -> None:
    """Checks each record of a checkpoint in torch's zip format against its checksum.

    Raises:
        BrokenCheckpointError: one does not match, or the archive is cut short or damaged.
    """
    try:
        with path.open("rb") as file:
            Archive(file, str(path), verify=True).check()
    except OSError as error:
        raise BrokenCheckpointError(str(path), str(error)) from error
