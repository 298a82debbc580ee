"""Finding the newest checkpoint that is whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._read import read_checkpoint
from ._verify import verify_checkpoint
from ._write import POINTER
from .errors import BrokenCheckpointError, UntrustedCheckpointError

__all__ = ["find_latest_checkpoint"]

_LOGGER = logging.getLogger(__name__)
_FIRST_LOOK = 8
"""Files looked into at first, the newest by their time of change; more only if none of them is whole, or if no pointer names one."""


@dataclass(frozen=True, order=True)
class _Candidate:
    """A checkpoint file; the newest compares as the largest."""

    saved_at: str
    iteration: int
    can_resume: bool
    changed_ns: int
    path: str


def find_latest_checkpoint(path: str | os.PathLike[str]) -> str | None:
    """Newest whole checkpoint of a folder, or None where there is none.

    The file ``last_checkpoint`` names one; files saved after it (by the time stored in them) count too, as a run may be
    killed between writing a file and naming it, and so do files beside the named one, where checkpoints lie in another
    folder (``CheckpointHook(out_dir=...)``). Files that are cut short, damaged or not readable are skipped, each with a
    warning that says why. A remote folder cannot be looked through: there the named one is taken.

    Args:
        path: of the folder, ``work_dir`` of a run.

    Examples:
        >>> import tempfile
        >>> find_latest_checkpoint(tempfile.mkdtemp()) is None
        True
    """
    folder = os.fspath(path).removeprefix("file://")
    if "://" in folder:
        return _remote_pointer(folder)
    text = pointer_text(Path(folder))
    if "://" in text:
        return _remote_file(str(Path(folder) / POINTER), text)
    named = pointer_target(Path(folder), text)
    if named is not None and named.is_dir():  # a sharded checkpoint is a folder
        return str(named)
    for candidate in _newest_first(_files(Path(folder), text), named):
        try:
            verify_checkpoint(candidate.path)
        except (BrokenCheckpointError, UntrustedCheckpointError, OSError) as error:
            _skip(candidate.path, error)
            continue
        return candidate.path
    _LOGGER.info("no whole checkpoint to go on from was found in %s", folder)
    return None


def _files(folder: Path, named: str) -> list[Path]:
    """The checkpoint files of a folder; where it has none, those beside the one that its pointer names."""
    files = list(folder.glob("*.pth"))
    elsewhere = not files and Path(named).is_absolute()
    return list(Path(named).parent.glob("*.pth")) if elsewhere else files


def _newest_first(found: Sequence[Path], named: Path | None) -> Iterator[_Candidate]:
    files = sorted(found, key=_changed_ns, reverse=True)
    first_look = len(files)  # times of change may be those of a copy; only the name in the pointer makes up for that
    if named is not None:
        files = [named, *(file for file in files if file.resolve() != named.resolve())]
        first_look = _FIRST_LOOK
    for batch in (files[:first_look], files[first_look:]):
        yield from sorted((seen for file in batch if (seen := _look_into(file, file == named))), reverse=True)


def _look_into(file: Path, is_named: bool) -> _Candidate | None:
    """What the file says of itself; None where it is broken or no checkpoint of a run."""
    try:
        checkpoint = read_checkpoint(file, map_location="cpu", mmap=True)
    except (BrokenCheckpointError, UntrustedCheckpointError, OSError, ValueError) as error:
        _skip(str(file), error)
        return None
    meta: Any = checkpoint.get("meta") if isinstance(checkpoint, dict) else None
    if not isinstance(meta, dict) or "iter" not in meta:
        if not is_named:
            _LOGGER.debug("%s is not looked at: it has no meta['iter'], so it is not a checkpoint of a run", file)
            return None
        meta = {}
    return _Candidate(
        str(meta.get("time", "")), int(meta.get("iter", 0)), "optimizer" in checkpoint, _changed_ns(file), str(file)
    )


def _skip(path: str, error: Exception) -> None:
    reason = error.reason if isinstance(error, BrokenCheckpointError) else str(error)
    _LOGGER.warning("the checkpoint %s is skipped: %s", path, reason)


def _changed_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:  # another process removed it meanwhile
        return 0


def pointer_text(folder: Path) -> str:
    """What the pointer of `folder` names; empty where there is none."""
    pointer = folder / POINTER
    if not pointer.is_file():
        return ""
    text = pointer.read_text().strip()
    if not text:
        _skip(str(pointer), ValueError("the file is empty"))
    return text.removeprefix("file://")


def pointer_target(folder: Path, text: str) -> Path | None:
    """The file or folder that the pointer of `folder` names with `text`; None where there is none."""
    if not text:
        return None
    # The folder may have been moved since.
    places = [Path(text), folder / text, folder / Path(text).name]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        _skip(text, FileNotFoundError(f"{folder / POINTER} names it, but there is no such file"))
    return found


def _remote_pointer(folder: str) -> str | None:
    from eng.fileio import exists, get_text

    pointer = f"{folder.rstrip('/')}/{POINTER}"
    named = get_text(pointer).strip() if exists(pointer) else ""
    if not named:
        return None
    beside = f"{folder.rstrip('/')}/{named.rstrip('/').rsplit('/', 1)[-1]}"  # the folder may have been moved since
    return _remote_file(pointer, *([named] if "/" in named else []), beside)


def _remote_file(pointer: str, *places: str) -> str | None:
    """The first of `places` where something is; None with a warning where nothing is.

    Raises:
        Exception: a storage could not be asked, and nothing is in the other place.
    """
    from eng.fileio import exists

    failures: list[Exception] = []
    for place in places:
        try:
            if exists(place):
                return place
        except Exception as error:  # noqa: BLE001  # the storage of the old address may be gone, in words of its own
            failures.append(error)
    if failures:
        raise failures[0]
    _skip(places[0], FileNotFoundError(f"{pointer} names it, but there is no such file"))
    return None
