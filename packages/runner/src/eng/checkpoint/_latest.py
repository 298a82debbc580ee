"""Finding the newest checkpoint that is intact."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any

from ._read import read_checkpoint
from ._text import visible
from ._verify import verify_checkpoint
from ._write import POINTER
from .errors import BrokenCheckpointError, UntrustedCheckpointError

__all__ = ["find_latest_checkpoint"]

_LOGGER = logging.getLogger(__name__)
_FIRST_LOOK = 8
"""Files looked into at first, the newest by their time of change; more only if none of them is intact, or if no pointer names one."""
_LONGEST_POINTER = 1 << 16
COMMON = "common.pth"
"""What a sharded checkpoint, which is a folder, holds beside the shards."""


@dataclass(frozen=True)
class _Candidate:
    """A checkpoint file, and what it says of itself.

    Attributes:
        path: of the file.
        iteration: iterations that the run had done.
        can_resume: whether the state of an optimizer is in it.
        experiment_name: of the start that saved it; empty where it does not say.
        run_id: of the run; empty in files of MMEngine and of earlier versions of eng, like `save_number`.
        save_number: how many checkpoints the run had saved, this one included.
        saved_ns: when it was saved, in nanoseconds since 1970 UTC; the file's time of change where it does not say.
        changed_ns: the file's time of change.
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
    """Newest whole checkpoint of a folder, or None where there is none.

    The file ``last_checkpoint`` names one. A file of the same run with a higher save number counts as newer, as a run may
    be killed between writing a file and naming it; without a pointer the highest number counts. Clocks do not: they are
    set back and differ between machines. Files of MMEngine have no number: there the named one counts, then the
    iteration, then the time of change. Where checkpoints lie in another folder (``CheckpointHook(out_dir=...)``), those
    beside the named one are looked at. Files that are cut short, damaged or not readable are skipped, each with a warning
    that says why. A remote folder cannot be looked through: there the named one is taken.

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
    folder = os.path.expanduser(folder)  # noqa: PTH111  # a Path would change how the path is written
    text = pointer_text(Path(folder))
    if "://" in text:
        return _remote_file(str(Path(folder) / POINTER), text)
    named = pointer_target(Path(folder), text)
    if named is not None and named.is_dir() and not _is_sharded(named):  # of another program
        return str(named)
    for intact in _intact(_newest_first(_files(Path(folder), text), named)):
        return intact
    _LOGGER.debug("no intact checkpoint to resume from is in %s", folder)
    return None


def checkpoints_of(path: str | os.PathLike[str], limits: Mapping[str, float], *, prefix: str = "") -> Iterator[str]:
    """Whole checkpoints of a folder of this machine that some of its starts saved, the newest first.

    Args:
        path: of the folder.
        limits: for each start, by its ``experiment_name``, the last iteration whose checkpoints count.
        prefix: with which the names of the files begin.
    """
    folder = Path(path)
    files = [file for file in _files(folder, pointer_text(folder)) if file.name.startswith(prefix)]
    seen = [candidate for file in files if (candidate := _look_into(file, is_named=False))]
    chosen = [candidate for candidate in seen if candidate.iteration <= limits.get(candidate.experiment_name, -1)]
    yield from _intact(_ordered(chosen, ""))


def _intact(candidates: Iterable[_Candidate]) -> Iterator[str]:
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
    if not path.is_dir():
        verify_checkpoint(path)
        return
    from ._shards import read_shard_metadata

    verify_checkpoint(path / COMMON)
    read_shard_metadata(path)


def _files(folder: Path, named: str) -> list[Path]:
    """The checkpoints of a folder; where it has none, those beside the one that its pointer names."""
    files = _checkpoints_in(folder)
    elsewhere = not files and Path(named).is_absolute()
    return _checkpoints_in(Path(named).parent) if elsewhere else files


def _checkpoints_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.glob("*.pth") if not path.is_dir() or _is_sharded(path)]
    except (OSError, ValueError):  # the name of the folder is too long, or leads in a circle
        return []


def _newest_first(paths: Sequence[Path], named: Path | None) -> Iterator[_Candidate]:
    files = sorted(paths, key=_changed_ns, reverse=True)
    first_look = len(files)  # times of change may be those of a copy; only the name in the pointer makes up for that
    if named is not None:
        files = [named, *(file for file in files if not _is_same(file, named))]
        first_look = _FIRST_LOOK
    for batch in (files[:first_look], files[first_look:]):
        seen = [candidate for file in batch if (candidate := _look_into(file, file == named))]
        yield from _ordered(seen, str(named))


def _ordered(candidates: Sequence[_Candidate], named: str) -> list[_Candidate]:
    """Candidates, the newest first."""
    last_save: dict[str, int] = {}
    for candidate in candidates:
        saved_ns = candidate.saved_ns if candidate.run_id else 0
        last_save[candidate.run_id] = max(last_save.get(candidate.run_id, 0), saved_ns)

    def age(candidate: _Candidate) -> tuple[Any, ...]:
        return (
            last_save[candidate.run_id],
            candidate.save_number,
            candidate.iteration,
            candidate.can_resume,
            candidate.changed_ns,
        )

    ordered = sorted(candidates, key=age, reverse=True)
    pointed = next((candidate for candidate in ordered if candidate.path == named), None)
    if pointed is None:
        return ordered
    newer = [candidate for candidate in ordered if _is_newer(candidate, pointed)]
    older = [candidate for candidate in ordered if candidate not in newer and candidate is not pointed]
    return [*newer, pointed, *older]


def _is_newer(candidate: _Candidate, pointed: _Candidate) -> bool:
    """Whether a file was saved after the one that the pointer names, by the same run.

    A second file from the same iteration (the best checkpoint, written behind the regular one) brings a run no further.
    """
    is_same_run = candidate.run_id != "" and candidate.run_id == pointed.run_id
    return is_same_run and candidate.save_number > pointed.save_number and candidate.iteration != pointed.iteration


def _is_same(file: Path, other: Path) -> bool:
    try:
        return file.samefile(other)
    except OSError:
        return False


def _look_into(file: Path, is_named: bool) -> _Candidate | None:
    """What the file says of itself; None where it is broken or no checkpoint of a run."""
    try:
        checkpoint = read_checkpoint(file / COMMON if file.is_dir() else file, map_location="cpu", mmap=True)
    except (BrokenCheckpointError, UntrustedCheckpointError, OSError, ValueError) as error:
        _skip(str(file), error)
        return None
    meta: Any = checkpoint.get("meta") if isinstance(checkpoint, dict) else None
    is_of_run = isinstance(meta, dict) and isinstance(meta.get("iter"), Integral)
    if not is_of_run and not is_named:
        _LOGGER.debug("%s is not looked at: it has no meta['iter'], so it is not a checkpoint of a run", file)
        return None
    facts: dict[str, Any] = meta if isinstance(meta, dict) else {}
    number, run_id, saved_ns = facts.get("save_number"), facts.get("run_id"), facts.get("time_ns")
    changed_ns = _changed_ns(file)
    candidate = _Candidate(
        path=str(file),
        iteration=int(facts["iter"]) if is_of_run else 0,
        can_resume=isinstance(checkpoint, dict) and "optimizer" in checkpoint,
        experiment_name=str(facts.get("experiment_name") or ""),
        run_id="",
        save_number=0,
        saved_ns=changed_ns,
        changed_ns=changed_ns,
    )
    if isinstance(number, Integral) and isinstance(run_id, str):
        candidate = replace(candidate, run_id=run_id, save_number=int(number))
    if isinstance(saved_ns, Integral):
        candidate = replace(candidate, saved_ns=int(saved_ns))
    return candidate


def _skip(path: str, error: Exception) -> None:
    reason = error.reason if isinstance(error, BrokenCheckpointError) else str(error)
    _LOGGER.warning("the checkpoint %s is skipped: %s", visible(path[:500]), visible(reason))


def _changed_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:  # another process removed it meanwhile, or it is a link that leads in a circle
        return 0


def pointer_text(folder: Path) -> str:
    """What the pointer of `folder` names; empty where there is none, or none that can be read."""
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
    """The file or folder that the pointer of `folder` names with `text`; None where there is none."""
    if not text:
        return None
    named, beside = Path(text), folder / Path(text).name
    # The folder may have been moved since, or copied: the copy has a checkpoint of the same run under the same name.
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
    except (OSError, ValueError):  # too long for a name, a link that leads in a circle, a byte of 0 in it
        return False


def _holds(target: Path, folder: Path) -> bool:
    """Whether `target` is `folder`, or one of the folders that it lies in."""
    return target.is_dir() and folder.resolve().is_relative_to(target.resolve())


def _are_of_one_run(first: Path, second: Path) -> bool:
    seen = [_look_into(path, is_named=True) for path in (first, second)]
    runs = {candidate.run_id for candidate in seen if candidate is not None}
    return len(runs) == 1 and "" not in runs and None not in seen


def _remote_pointer(folder: str) -> str | None:
    """The checkpoint that the pointer file of a remote folder names; None without a pointer, or where it names nothing."""
    from eng.fileio import exists, get_text

    pointer = f"{folder.rstrip('/')}/{POINTER}"
    try:
        named = get_text(pointer).strip() if exists(pointer) else ""
    except UnicodeDecodeError as error:
        _skip(pointer, error)
        return None
    if not named:
        return None
    beside = f"{folder.rstrip('/')}/{named.rstrip('/').rsplit('/', 1)[-1]}"  # the folder may have been moved since
    return _remote_file(pointer, *([named] if "/" in named else []), beside)


def _remote_file(pointer: str, *addresses: str) -> str | None:
    """The first of `addresses` that exists; None with a warning where none does.

    Raises:
        Exception: a storage could not be asked, and no other address exists.
    """
    from eng.fileio import exists

    failures: list[Exception] = []
    for address in addresses:
        try:
            if exists(address):
                return address
        except Exception as error:  # noqa: BLE001  # the storage of the old address may be gone, in words of its own
            failures.append(error)
    if failures:
        raise failures[0]
    _skip(addresses[0], FileNotFoundError(f"{pointer} names it, but there is no such file"))
    return None
