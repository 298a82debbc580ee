"""The work dir of a run: a folder for this start that no other run has, and a look at who else trains in it."""

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
    """The time stamp of a start and the name of its run, which no other start and no other run of this process has.

    Args:
        work_dir: of the run; the folder of the start is made in it.
        timestamp: when the run started.
        setting: the user's name for the run; None takes the config's.
        config_file: file of the config; None where there is none.
    """
    name_at = partial(experiment_name_for, setting, config_file)
    claimed = claim_shared_start(work_dir, timestamp, lambda stamp: is_known(name_at(stamp)))
    return claimed, name_at(claimed)


def claim_shared_start(work_dir: str, stamp: str, is_taken: Callable[[str], bool]) -> str:
    """The name of this start's folder in the work dir, which rank 0 makes for itself alone; the same on all ranks.

    Args:
        work_dir: of the run.
        stamp: time of the start.
        is_taken: whether this process uses a name already, as another Runner of the same second does.

    Raises:
        OSError: rank 0 cannot make the folder; on all ranks.
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
    with contextlib.suppress(OSError):  # of a rank on another machine, which may have no such disk
        (Path(work_dir) / name).mkdir(parents=True, exist_ok=True)
    return str(name)


@contextmanager
def occupied(work_dir: str, experiment_name: str) -> Iterator[None]:
    """Marks the work dir as that of a run that trains, and warns where another one does already.

    The mark is a lock that the system takes off when the process ends, whatever ends it; the file names host, process and
    run. Where a file system has no locks, nothing is marked.

    Args:
        work_dir: of the run.
        experiment_name: of the run.
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
        _write(file, facts)
    else:
        _warn(work_dir, os.pread(file, 4096, 0))
    try:
        yield
    finally:
        if is_ours:
            path.unlink(missing_ok=True)
        _unlock(file)


def _open_lock(path: Path) -> int | None:
    try:
        import fcntl  # noqa: F401  # of Unix alone

        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except (ImportError, OSError):
        return None


def _lock(file: int) -> bool:
    """Takes the lock; False where another process has it."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _unlock(file: int) -> None:
    """Gives the lock back; workers that were forked meanwhile hold the same one, so that closing is not enough."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


def _write(file: int, facts: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a full disk: the lock alone has to do
        os.truncate(file, 0)
        os.pwrite(file, json.dumps(facts).encode(), 0)


def _warn(work_dir: str, data: bytes) -> None:
    """Warns of a live run that trains in the same work dir, as its lock file tells."""
    try:
        facts = json.loads(data)
        if not is_alive({**facts, "pid": int(facts["pid"])}):
            return  # it was killed, and workers that it started are about to end
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
