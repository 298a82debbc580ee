"""The work dir of a run: creates a subfolder for each launch, and warns if another run trains in the same work dir."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from eng.dist import broadcast_object_list, get_rank
from eng.logging.process import is_alive, this_process
from eng.logging.starts import claim_start

from .assemble.observers import is_known
from .environment import experiment_name_for

__all__ = ["LOCK_FILE", "claim_name", "claim_shared_start", "occupied"]

logger = logging.getLogger(__name__)
LOCK_FILE = ".running.json"


def claim_name(work_dir: str, timestamp: str, setting: str | None, config_file: str | None) -> tuple[str, str]:
    """Creates the timestamped subfolder of one launch of a run, and returns its timestamp and the experiment name.

    The timestamp is unique in the work dir, and the experiment name is unique in this process.

    Args:
        work_dir: work dir of the run, in which the subfolder is created.
        timestamp: time at which the run started; a later second is used if a subfolder with this name exists.
        setting: the user's ``experiment_name``; None uses the name of the config file.
        config_file: path of the config file; None if the config was not read from a file.
    """
    name_at = partial(experiment_name_for, setting, config_file)
    claimed = claim_shared_start(work_dir, timestamp, lambda stamp: is_known(name_at(stamp)))
    return claimed, name_at(claimed)


def claim_shared_start(work_dir: str, stamp: str, is_taken: Callable[[str], bool]) -> str:
    """Creates a new subfolder for this launch in the work dir, on rank 0, and returns its name on all ranks.

    Args:
        work_dir: work dir of the run.
        stamp: timestamp of the launch, the preferred name of the subfolder.
        is_taken: function that returns whether this process already uses a name, as when another Runner started in the
            same second.

    Raises:
        OSError: rank 0 cannot create the subfolder; raised on every rank.
    """
    answer: list[Any] = [None]
    if get_rank() == 0:
        try:
            answer[0] = claim_start(work_dir, stamp, is_taken)
        except OSError as error:
            answer[0] = error
    broadcast_object_list(answer)
    name = answer[0]
    if isinstance(name, OSError):
        raise name
    with contextlib.suppress(OSError):  # A rank on another machine may not have this disk.
        (Path(work_dir) / name).mkdir(parents=True, exist_ok=True)
    return str(name)


@contextmanager
def occupied(work_dir: str, experiment_name: str) -> Iterator[None]:
    """Holds a lock file in the work dir while a run trains; warns if another run holds it already.

    The operating system releases the lock when the process ends, however it ends. The file names host, process and run.
    On a file system without locks there is no lock and no warning.

    Args:
        work_dir: work dir of the run.
        experiment_name: name of the run, for the warning in another run.
    """
    path = Path(work_dir) / LOCK_FILE
    file = None
    if get_rank() == 0:
        file = _open_lock(path)
    if file is None:
        yield
        return
    is_ours = _lock(file)
    if is_ours:
        facts = {"experiment": experiment_name, **this_process(), "since": _now()}
        _write_facts(file, facts)
    else:
        _warn(work_dir, os.pread(file, 4096, 0))
    try:
        yield
    finally:
        if is_ours:
            path.unlink(missing_ok=True)
        _unlock(file)


def _open_lock(path: Path) -> int | None:
    """Opens a lock file and returns its file descriptor; None on Windows, or if the file cannot be opened."""
    try:
        import fcntl  # noqa: F401  # raises an ImportError on Windows

        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except (ImportError, OSError):
        return None


def _lock(file: int) -> bool:
    """Locks an open lock file; returns False if another process holds the lock."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # The file system has no locks.
        return True
    return True


def _unlock(file: int) -> None:
    """Releases the lock of a lock file.

    Closing the file is not enough, because workers that were forked meanwhile have inherited its descriptor and the
    lock.
    """
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


def _write_facts(file: int, facts: dict[str, Any]) -> None:
    """Writes facts about this run into its open lock file, which the warning of another run shows."""
    with contextlib.suppress(OSError):  # On a full disk the lock works without its text.
        os.truncate(file, 0)
        os.pwrite(file, json.dumps(facts).encode(), 0)


def _warn(work_dir: str, data: bytes) -> None:
    """Logs a warning about another run that trains in the same work dir; the content of its lock file names it."""
    try:
        facts = json.loads(data)
        if not is_alive({**facts, "pid": int(facts["pid"])}):
            return  # The other run was killed; its workers hold the lock until they end.
        other_run = f"{facts['experiment']}, process {facts['pid']} on {facts['host']}, since {facts['since']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        other_run = f"{LOCK_FILE} there does not say which"
    logger.warning(
        "Another run trains in %s now: %s. Both write checkpoints of the same names; give one of them another work_dir",
        work_dir,
        other_run,
    )


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z")
