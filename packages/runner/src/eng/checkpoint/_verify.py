"""Check that a checkpoint file is intact."""

from __future__ import annotations

from pathlib import Path

from ._archive import Archive, is_archive
from ._read import read_checkpoint
from .errors import BrokenCheckpointError, UntrustedCheckpointError


def verify_checkpoint(path: str | Path) -> None:
    """Compares each record of a checkpoint file with its checksum, and checks that the file can be read.

    Args:
        path: path of a file that :func:`torch.save` or :func:`save_checkpoint` wrote. A file in the format of torch
            before 1.6 has no checksums, so it is only read.

    Raises:
        BrokenCheckpointError: the file is cut short or damaged.
        UntrustedCheckpointError: the file is in the old format and holds types that are not known to be harmless.
        FileNotFoundError: the file does not exist.
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
        # The bytes of the file are intact, although it refers to types that may run code. The caller that loads the
        # file decides whether the file is trusted, so no error is raised here.
        return


def check_records(path: Path) -> None:
    """Compares each record of a checkpoint in torch's zip format with its checksum.

    Raises:
        BrokenCheckpointError: a record does not match its checksum, or the archive is cut short or damaged.
    """
    try:
        with path.open("rb") as file:
            Archive(file, str(path), verify=True).check()
    except OSError as error:
        raise BrokenCheckpointError(str(path), str(error)) from error
