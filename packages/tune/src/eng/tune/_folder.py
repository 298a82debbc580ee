"""The folder of a sweep: its definition, its trials, and what each run left.

Every file is written aside and renamed, so that a process which is killed at any moment leaves either the old file or the
new one. Nothing else is kept: a controller that starts again reads all that it needs from here.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eng.fileio import atomic_write

from .errors import SweepError

__all__ = ["Result", "Run", "Trial", "controlling", "damaged", "exclusive", "read_json", "write_config", "write_json"]

DEFINITION = "sweep.json"
CONFIG = "config.py"
_TRIAL = "trial.json"
_RESULT = "result.json"
_LOCK = ".trial.lock"
_CONTROLLER_LOCK = ".controller.lock"


def write_json(path: Path, data: Any) -> None:
    """Writes plain data, completely or not at all.

    Raises:
        OSError: the file cannot be written, as on a full disk; it names the file.
    """
    try:
        with atomic_write(path, "w") as file:
            json.dump(data, file, indent=1)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_config(path: Path, config: Any) -> None:
    """Dumps a config, completely or not at all; the suffix tells in which language."""
    scratch = path.with_name(f".new_{path.name}")
    config.dump(str(scratch))
    scratch.replace(path)


def read_json(path: Path) -> Any:
    """The plain data in a file; None where there is no such file.

    Raises:
        SweepError: the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> SweepError:
    """What to raise for a file of a sweep that holds something else."""
    return SweepError(
        f"{path} is damaged, or written by another version ({type(error).__name__}: {error}); remove it to run what it "
        "belongs to again"
    )


@contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Holds a lock that the system takes off when the process ends, whatever ends it.

    Args:
        path: of the file that stands for the lock.

    Yields:
        Whether this process has the lock; False where another one does.
    """
    import fcntl

    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:  # loader workers that were forked hold the same lock: closing alone would not take it off
            fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        os.close(file)


@contextmanager
def controlling(folder: Path) -> Iterator[None]:
    """Makes the folder of a sweep, and keeps it for the controller in this process.

    Raises:
        SweepError: the folder cannot be made, or another controller works in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SweepError(
            f"the sweep cannot use the folder {folder} ({error.strerror}); choose another --dir"
        ) from error
    with exclusive(folder / _CONTROLLER_LOCK) as is_ours:
        if not is_ours:
            raise SweepError(f"another controller works on the sweep in {folder}; wait for its end")
        yield


@dataclass
class Result:
    """What a run of a trial came to.

    Args:
        state: ``"complete"``, ``"pruned"`` or ``"failed"``.
        value: the objective; None where the run failed.
        values: of all validations, in their order.
        metrics: of the validation that gave ``value``.
        error: why the run failed, in a line.
        is_fatal: whether every other trial would fail in the same way.
    """

    state: str
    value: float | None = None
    values: list[float] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    is_fatal: bool = False


@dataclass(frozen=True)
class Run:
    """One training of a trial, in a folder of its own.

    Args:
        folder: work dir of the run.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The path below the folder of all trials, such as ``0003`` or ``0003/fold_1``."""
        parts = self.folder.parts
        return "/".join(parts[len(parts) - 1 - parts[::-1].index("trials") + 1 :])

    @property
    def options(self) -> dict[str, Any]:
        """What this run changes in the config of the sweep, by dotted key."""
        return self._mapping("options")

    @property
    def params(self) -> dict[str, Any]:
        """Values of the axes by key."""
        return self._mapping("params")

    def _mapping(self, name: str) -> dict[str, Any]:
        try:
            return dict(self.point[name])
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(self.folder / _TRIAL, error) from error

    @property
    def point(self) -> dict[str, Any]:
        """What the search keeps with the trial, such as its number in a storage."""
        point: dict[str, Any] = read_json(self.folder / _TRIAL)
        return point

    def write(self, data: Mapping[str, Any]) -> None:
        """Makes the folder and says in it what the run is.

        A result in the folder stays only where it is of the same run: a run whose folder was removed while it trained
        leaves its result, and nothing about itself.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.point != json.loads(json.dumps(data)):
            self.forget_result()
        write_json(self.folder / _TRIAL, data)

    def exists(self) -> bool:
        """Whether the folder says what the run is."""
        return (self.folder / _TRIAL).exists()

    @property
    def result(self) -> Result | None:
        """What the run came to; None before its end."""
        data = read_json(self.folder / _RESULT)
        try:
            return None if data is None else Result(**data)
        except TypeError as error:
            raise damaged(self.folder / _RESULT, error) from error

    def finish(self, result: Result) -> None:
        """Keeps what the run came to."""
        data = asdict(result)
        data["metrics"] = {name: value for name, value in data["metrics"].items() if isinstance(value, (int, float))}
        write_json(self.folder / _RESULT, data)

    def forget_result(self) -> None:
        """Lets the run be started again."""
        (self.folder / _RESULT).unlink(missing_ok=True)

    def occupied(self) -> contextlib.AbstractContextManager[bool]:
        """Holds the run for this process; gives False where another process has it."""
        return exclusive(self.folder / _LOCK)

    def is_occupied(self) -> bool:
        """Whether a process works on this run."""
        with self.occupied() as is_ours:
            return not is_ours


@dataclass(frozen=True)
class Trial:
    """A point of the space, with a run for each fold.

    Args:
        number: of the trial, from 0.
        params: values of the axes by key.
        runs: one, or one for each fold.
    """

    number: int
    params: dict[str, Any]
    runs: tuple[Run, ...]

    @property
    def state(self) -> str:
        """``"complete"``, ``"pruned"`` or ``"failed"``, or ``"open"`` before all runs are over."""
        results = [run.result for run in self.runs]
        states = [result.state for result in results if result is not None]
        for state in ("failed", "pruned"):
            if state in states:
                return state
        return "complete" if len(states) == len(self.runs) else "open"

    @property
    def value(self) -> float | None:
        """The objective, averaged over the runs; None where a run gave none."""
        results = [run.result for run in self.runs]
        values = [result.value for result in results if result is not None and result.value is not None]
        return math.fsum(values) / len(values) if len(values) == len(self.runs) else None

    @property
    def error(self) -> str | None:
        """Why the first failed run failed."""
        errors = [(run.name, run.result.error) for run in self.runs if run.result is not None and run.result.error]
        return f"{errors[0][0]}: {errors[0][1]}" if errors else None
