"""Find the newest intact checkpoint of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any

from ._file_names import COMMON
from ._read import read_checkpoint
from ._text import visible
from ._verify import verify_checkpoint
from ._write import POINTER
from .errors import BrokenCheckpointError, UntrustedCheckpointError

__all__ = ["find_latest_checkpoint"]

_LOGGER = logging.getLogger(__name__)
_FIRST_LOOK = 8
"""Number of checkpoint files that the search for the newest intact checkpoint opens first: those with the latest
modification times. The other files are opened only if none of these is intact. In a folder without the file
``last_checkpoint`` all files are opened at once."""
_LONGEST_POINTER = 1 << 16


@dataclass(frozen=True)
class _Candidate:
    """A checkpoint that may be the newest in its folder, with the values that decide which checkpoint is newer.

    Attributes:
        path: path of the file.
        iteration: number of iterations that the run had completed.
        can_resume: whether the file holds the state of an optimizer.
        experiment_name: name of the launch (start of the training program) that saved the file; empty if unknown.
        run_id: identifies the run, which keeps its identifier when it is resumed in another launch; empty in files of
            MMEngine and of earlier versions of eng.
        save_number: number of checkpoints that the run had saved, including this one; 0 if unknown.
        saved_ns: time of the save in nanoseconds since 1970 UTC; the modification time if unknown.
        changed_ns: modification time of the file in nanoseconds.
    """

    path: str
    iteration: int
    can_resume: bool
    experiment_name: str
    run_id: str
    save_number: int
    saved_ns: int
    changed_ns: int


def find_latest_checkpoint(path: str | os.PathLike[str]) -> str | None:
    """Returns the path of the newest intact checkpoint in a folder; None if there is none.

    Every run writes the path of its last checkpoint into the pointer file ``last_checkpoint``, and numbers its
    checkpoints in their metadata (save number). The checkpoint in the pointer file is returned, unless the same run has
    saved one with a higher save number: a run may be killed after it wrote a checkpoint and before it updated the
    pointer file. Without a pointer file, the checkpoint with the highest save number of the run that saved last is
    returned. Files of MMEngine have no save number: for them the pointer file decides, then the iteration, then the
    modification time.

    If the pointer file names a checkpoint in another folder (``CheckpointHook(out_dir=...)``), that folder is searched.
    Files that are cut short, damaged or unreadable are skipped with a warning. A remote folder is not searched: the
    checkpoint that its pointer file names is returned.

    Args:
        path: path of the folder, usually the ``work_dir`` of a run.

    Examples:
        >>> import tempfile
        >>> find_latest_checkpoint(tempfile.mkdtemp()) is None
        True
    """
    folder = os.fspath(path).removeprefix("file://")
    if "://" in folder:
        return _remote_pointer(folder)
    folder = os.path.expanduser(folder)  # noqa: PTH111  # a Path would change how the path is written
    text = pointer_text(Path(folder))
    if "://" in text:
        return _remote_file(str(Path(folder) / POINTER), text)
    named = pointer_target(Path(folder), text)
    # Another program wrote a folder that is no sharded checkpoint of eng, and will check the folder when loading it. So
    # the folder is returned without a check.
    if named is not None and named.is_dir() and not _is_sharded(named):
        return str(named)
    for intact in _intact(_newest_first(_files(Path(folder), text), named)):
        return intact
    _LOGGER.debug("no intact checkpoint to resume from is in %s", folder)
    return None


def checkpoints_of(path: str | os.PathLike[str], limits: Mapping[str, float], *, prefix: str = "") -> Iterator[str]:
    """Yields the intact checkpoints in a local folder that the given launches have saved, the newest first.

    Args:
        path: path of the folder.
        limits: maps the ``experiment_name`` of a launch to an iteration; checkpoints of later iterations are left out,
            and so are the checkpoints of launches that the mapping does not have.
        prefix: only files whose names begin with this prefix are considered.
    """
    folder = Path(path)
    files = [file for file in _files(folder, pointer_text(folder)) if file.name.startswith(prefix)]
    seen = [candidate for file in files if (candidate := _look_into(file, is_named=False))]
    chosen = [candidate for candidate in seen if candidate.iteration <= limits.get(candidate.experiment_name, -1)]
    yield from _intact(_ordered(chosen, ""))


def _intact(candidates: Iterable[_Candidate]) -> Iterator[str]:
    """Yields the paths of those candidates that are intact; a broken checkpoint is skipped with a warning."""
    for candidate in candidates:
        try:
            _verify(Path(candidate.path))
        except (BrokenCheckpointError, UntrustedCheckpointError, OSError) as error:
            _skip(candidate.path, error)
            continue
        yield candidate.path


def _is_sharded(path: Path) -> bool:
    return (path / COMMON).is_file()


def _verify(path: Path) -> None:
    """Compares a checkpoint file with its checksums; of a sharded checkpoint, the common file and the metadata."""
    if not path.is_dir():
        verify_checkpoint(path)
        return
    from ._shards import read_shard_metadata

    verify_checkpoint(path / COMMON)
    read_shard_metadata(path)


def _files(folder: Path, named: str) -> list[Path]:
    """Returns the checkpoints in a folder.

    If the folder has none, the checkpoints beside the file `named` (the path in the folder's pointer file) are
    returned.
    """
    files = _checkpoints_in(folder)
    if not files and Path(named).is_absolute():
        return _checkpoints_in(Path(named).parent)
    return files


def _checkpoints_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.glob("*.pth") if not path.is_dir() or _is_sharded(path)]
    except (OSError, ValueError):
        # OSError: the folder's name is too long, or the folder cannot be read. ValueError: in some versions of Python,
        # for a path with a null character, which a damaged pointer file may contain.
        return []


def _newest_first(paths: Sequence[Path], named: Path | None) -> Iterator[_Candidate]:
    """Yields checkpoints from the newest to the oldest, and opens as few files as possible.

    With a pointer file, the checkpoint `named` in it and the files changed last are opened and yielded first; the
    others are opened only if the caller asks for more. Files that are no checkpoints of a run are left out.
    """
    files = sorted(paths, key=_changed_ns, reverse=True)
    # Without a pointer file all files must be opened: modification times do not decide, since copying a folder
    # changes them.
    first_look = len(files)
    if named is not None:
        files = [named, *(file for file in files if not _is_same(file, named))]
        first_look = _FIRST_LOOK
    for batch in (files[:first_look], files[first_look:]):
        seen = [candidate for file in batch if (candidate := _look_into(file, file == named))]
        yield from _ordered(seen, str(named))


def _ordered(candidates: Sequence[_Candidate], named: str) -> list[_Candidate]:
    """Sorts checkpoints, the newest first.

    Checkpoints of the run that saved last come first. Checkpoints of one run are sorted by save number, then by
    iteration, then by modification time. The checkpoint that the pointer file names precedes all checkpoints except
    newer ones of its run.

    Args:
        candidates: the checkpoints.
        named: path of the checkpoint that the pointer file names.
    """
    last_save: dict[str, int] = {"": 0}
    for candidate in candidates:
        if candidate.run_id:
            last_save[candidate.run_id] = max(last_save.get(candidate.run_id, 0), candidate.saved_ns)

    def recency(candidate: _Candidate) -> tuple[Any, ...]:
        """Returns the sort key of a checkpoint; the newest checkpoint has the largest key."""
        return (
            last_save[candidate.run_id],
            candidate.save_number,
            candidate.iteration,
            candidate.can_resume,
            candidate.changed_ns,
        )

    ordered = sorted(candidates, key=recency, reverse=True)
    pointed = next((candidate for candidate in ordered if candidate.path == named), None)
    if pointed is None:
        return ordered
    newer = [candidate for candidate in ordered if _is_newer(candidate, pointed)]
    older = [candidate for candidate in ordered if candidate not in newer and candidate is not pointed]
    return [*newer, pointed, *older]


def _is_newer(candidate: _Candidate, pointed: _Candidate) -> bool:
    """Whether the same run saved `candidate` after the checkpoint `pointed` that the pointer file names.

    A checkpoint of the same iteration as `pointed`, such as the one with the best metric, does not count as newer.
    """
    is_same_run = candidate.run_id != "" and candidate.run_id == pointed.run_id
    return is_same_run and candidate.save_number > pointed.save_number and candidate.iteration != pointed.iteration


def _is_same(file: Path, other: Path) -> bool:
    try:
        return file.samefile(other)
    except OSError:
        return False


def _look_into(file: Path, is_named: bool) -> _Candidate | None:
    """Reads from a checkpoint the values that decide which checkpoint is newer, such as its iteration.

    None is returned if the checkpoint is broken, or has no iteration and is not the one in the pointer file
    (`is_named`).
    """
    data_file = file
    if file.is_dir():
        data_file = file / COMMON
    try:
        checkpoint = read_checkpoint(data_file, map_location="cpu", mmap=True)
    except (BrokenCheckpointError, UntrustedCheckpointError, OSError, ValueError) as error:
        _skip(str(file), error)
        return None
    contents: dict[Any, Any] = {}
    if isinstance(checkpoint, dict):
        contents = checkpoint
    meta: Any = contents.get("meta")
    if not isinstance(meta, dict):
        meta = {}
    iteration = meta.get("iter")
    is_of_run = isinstance(iteration, Integral)
    if not is_of_run and not is_named:
        _LOGGER.debug("%s is not looked at: it has no meta['iter'], so it is not a checkpoint of a run", file)
        return None
    changed_ns = _changed_ns(file)
    candidate = _Candidate(
        path=str(file),
        iteration=0,
        can_resume="optimizer" in contents,
        experiment_name=str(meta.get("experiment_name") or ""),
        run_id="",
        save_number=0,
        saved_ns=changed_ns,
        changed_ns=changed_ns,
    )
    return _with_numbers(candidate, meta)


def _with_numbers(candidate: _Candidate, meta: Mapping[str, Any]) -> _Candidate:
    """Returns the candidate with iteration, run, save number and time of the save from the checkpoint's metadata.

    A value that the metadata does not have, or has with another type, is left as it is in `candidate`.
    """
    iteration = meta.get("iter")
    save_number = meta.get("save_number")
    run_id = meta.get("run_id")
    saved_ns = meta.get("time_ns")
    if isinstance(iteration, Integral):
        candidate = replace(candidate, iteration=int(iteration))
    if isinstance(save_number, Integral) and isinstance(run_id, str):
        candidate = replace(candidate, run_id=run_id, save_number=int(save_number))
    if isinstance(saved_ns, Integral):
        candidate = replace(candidate, saved_ns=int(saved_ns))
    return candidate


def _skip(path: str, error: Exception) -> None:
    reason: str | None = str(error)
    if isinstance(error, BrokenCheckpointError):
        reason = error.reason
    _LOGGER.warning("the checkpoint %s is skipped: %s", visible(path[:500]), visible(reason))


def _changed_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:  # Another process has removed the file, or symbolic links form a circle.
        return 0


def pointer_text(folder: Path) -> str:
    """Returns the content of the pointer file in `folder`; empty if the file is missing, empty or unreadable."""
    pointer = folder / POINTER
    if not pointer.is_file():
        return ""
    try:
        with pointer.open("rb") as file:
            text = os.fsdecode(file.read(_LONGEST_POINTER)).strip()
    except (OSError, UnicodeDecodeError) as error:
        _skip(str(pointer), error)
        return ""
    if not text:
        _skip(str(pointer), ValueError("the file is empty"))
    return text.removeprefix("file://")


def pointer_target(folder: Path, text: str) -> Path | None:
    """Returns the path of the checkpoint that a pointer file names; None if the checkpoint does not exist.

    Args:
        folder: folder of the pointer file. A checkpoint that was moved is searched here too.
        text: content of the pointer file.
    """
    if not text:
        return None
    named = Path(text)
    beside = folder / named.name
    # The pointer file holds an absolute path. If the folder was copied, both the original and the copy of the
    # checkpoint exist: the copy in `folder` is returned. If the folder was moved, only the file in `folder` exists.
    if _exists(named) and _exists(beside) and not _is_same(named, beside) and _are_of_one_run(named, beside):
        return beside
    target = next((path for path in (named, folder / text, beside) if _exists(path)), None)
    if target is not None and _holds(target, folder):
        _skip(text, ValueError(f"{folder / POINTER} names it, but it is a folder that holds the work_dir itself"))
        return None
    if target is None:
        _skip(text, FileNotFoundError(f"{folder / POINTER} names it, but there is no such file"))
    return target


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # The file name is too long or has a zero byte, or symbolic links form a circle.
        return False


def _holds(target: Path, folder: Path) -> bool:
    """Whether `target` is `folder`, or a parent of `folder`."""
    return target.is_dir() and folder.resolve().is_relative_to(target.resolve())


def _are_of_one_run(first: Path, second: Path) -> bool:
    seen = [_look_into(path, is_named=True) for path in (first, second)]
    runs = {candidate.run_id for candidate in seen if candidate is not None}
    return len(runs) == 1 and "" not in runs and None not in seen


def _remote_pointer(folder: str) -> str | None:
    """Returns the checkpoint that the pointer file of a remote folder names; None if the file is missing or empty."""
    from eng.fileio import exists, get_text

    pointer = f"{folder.rstrip('/')}/{POINTER}"
    named = ""
    try:
        if exists(pointer):
            named = get_text(pointer).strip()
    except UnicodeDecodeError as error:
        _skip(pointer, error)
        return None
    if not named:
        return None
    # The folder may have been moved since the pointer file was written, so a checkpoint of the same name in this folder
    # is tried too.
    addresses = [f"{folder.rstrip('/')}/{named.rstrip('/').rsplit('/', 1)[-1]}"]
    if "/" in named:
        addresses.insert(0, named)
    return _remote_file(pointer, *addresses)


def _remote_file(pointer: str, *addresses: str) -> str | None:
    """Returns the first of `addresses` that exists; None, with a warning, if none exists.

    Raises:
        Exception: the storage of an address could not be reached, and no other address exists.
    """
    from eng.fileio import exists

    failures: list[Exception] = []
    for address in addresses:
        try:
            if exists(address):
                return address
        except Exception as error:  # noqa: BLE001  # each storage backend raises errors of its own
            failures.append(error)
    if failures:
        raise failures[0]
    _skip(addresses[0], FileNotFoundError(f"{pointer} names it, but there is no such file"))
    return None
