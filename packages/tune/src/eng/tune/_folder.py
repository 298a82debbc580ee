"""The folder of a sweep, which contains its settings, its trials and the result of each run.

Every file is written atomically, so that a process killed at any moment leaves either the old or the new file. A
restarted controller reads its complete state from this folder.
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
    """Writes plain data (dicts, lists, numbers, strings) as JSON: a reader sees the old or the new file, never a part.

    Raises:
        OSError: the file cannot be written, for example because the disk is full; the error names the file.
    """
    try:
        with atomic_write(path, "w") as file:
            json.dump(data, file, indent=1)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_config(path: Path, config: Any) -> None:
    """Writes a config in the format that the suffix of `path` selects; a reader never sees a part of the file."""
    scratch = path.with_name(f".new_{path.name}")
    config.dump(str(scratch))
    scratch.replace(path)


def read_json(path: Path) -> Any:
    """Reads plain data from a JSON file; None if the file does not exist.

    Raises:
        SweepError: the file is not valid JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> SweepError:
    """Returns the exception to raise if a file in the folder of a sweep has invalid content; `error` is the reason."""
    return SweepError(
        f"{path} is damaged, or written by another version ({type(error).__name__}: {error}); remove it to run what it "
        "belongs to again"
    )


@contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Holds a file lock inside the ``with`` block; the operating system releases it if the process is killed.

    Args:
        path: path of the lock file.

    Yields:
        True if this process holds the lock, False if another process does.
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
        finally:
            # Forked dataloader workers inherit the open file and with it the lock, so closing the file in this process
            # would not release the lock.
            fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        os.close(file)


@contextmanager
def controlling(folder: Path) -> Iterator[None]:
    """Creates the folder of a sweep and holds its lock file, so that only one process at a time runs the sweep.

    Raises:
        SweepError: the folder cannot be created, or another controller holds its lock.
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
    """The result of a run.

    Args:
        state: ``"complete"``, ``"pruned"`` (ended early by a pruner of Optuna) or ``"failed"``.
        value: value of the metric that the sweep optimizes; None if the run failed.
        values: value of this metric in every validation, in order.
        metrics: all metrics of the validation that ``value`` is from.
        error: reason for the failure, in one line; None without a failure.
        is_fatal: whether every other trial would fail for the same reason.
    """

    state: str
    value: float | None = None
    values: list[float] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    is_fatal: bool = False


@dataclass(frozen=True)
class Run:
    """One training of a trial; with cross-validation a trial has one run per fold. Each run has its own folder.

    Args:
        folder: work directory of the run.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Path of the run below the folder ``trials``, such as ``0003`` or ``0003/fold_1``."""
        parts = self.folder.parts
        return "/".join(parts[len(parts) - 1 - parts[::-1].index("trials") + 1 :])

    @property
    def options(self) -> dict[str, Any]:
        """The settings by dotted key that this run changes in the config of the sweep."""
        return self._mapping("options")

    @property
    def params(self) -> dict[str, Any]:
        """The values that the varied config keys of the sweep have in this run, by config key."""
        return self._mapping("params")

    def _mapping(self, name: str) -> dict[str, Any]:
        try:
            return dict(self.point[name])
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(self.folder / _TRIAL, error) from error

    @property
    def point(self) -> dict[str, Any]:
        """The data that `write` stored in the run's folder: number and parameters of the trial, data of the search."""
        point: dict[str, Any] = read_json(self.folder / _TRIAL)
        return point

    def write(self, data: Mapping[str, Any]) -> None:
        """Creates the folder of the run and stores the number and the parameters of its trial.

        A result that is already in the folder is deleted unless it belongs to the same parameters. Such a result can
        exist if the user removed the folder during a training, which then still wrote its result.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.point != json.loads(json.dumps(data)):
            self.forget_result()
        write_json(self.folder / _TRIAL, data)

    def exists(self) -> bool:
        """Whether `write` has stored this run in its folder."""
        return (self.folder / _TRIAL).exists()

    @property
    def result(self) -> Result | None:
        """The result of the run; None if it has not finished."""
        data = read_json(self.folder / _RESULT)
        try:
            return None if data is None else Result(**data)
        except TypeError as error:
            raise damaged(self.folder / _RESULT, error) from error

    def finish(self, result: Result) -> None:
        """Stores the result of the run; metrics that are not numbers are dropped."""
        data = asdict(result)
        data["metrics"] = {name: value for name, value in data["metrics"].items() if isinstance(value, (int, float))}
        write_json(self.folder / _RESULT, data)

    def forget_result(self) -> None:
        """Deletes the result of the run, so that the controller starts it again."""
        (self.folder / _RESULT).unlink(missing_ok=True)

    def occupied(self) -> contextlib.AbstractContextManager[bool]:
        """Returns a context manager that holds the run's lock and yields False if another process holds it."""
        return exclusive(self.folder / _LOCK)

    def is_occupied(self) -> bool:
        """Whether a process is training this run."""
        with self.occupied() as is_ours:
            return not is_ours


@dataclass(frozen=True)
class Trial:
    """A point of the search space with its runs.

    Args:
        number: number of the trial, from 0.
        params: the value of each config key that the sweep varies.
        runs: a single run, or one run per cross-validation fold.
    """

    number: int
    params: dict[str, Any]
    runs: tuple[Run, ...]

    @property
    def state(self) -> str:
        """State of the trial: ``"failed"`` or ``"pruned"`` if one of its runs is, ``"complete"`` if all its runs are.

        Otherwise, while runs have no result yet, the state is ``"open"``.
        """
        results = [run.result for run in self.runs]
        states = [result.state for result in results if result is not None]
        for state in ("failed", "pruned"):
            if state in states:
                return state
        return "complete" if len(states) == len(self.runs) else "open"

    @property
    def value(self) -> float | None:
        """Mean, over the runs of the trial, of the metric that the sweep optimizes; None if a run has no value."""
        results = [run.result for run in self.runs]
        values = [result.value for result in results if result is not None and result.value is not None]
        return math.fsum(values) / len(values) if len(values) == len(self.runs) else None

    @property
    def error(self) -> str | None:
        """Error message of the first failed run, with its name; None if no run failed."""
        errors = [(run.name, run.result.error) for run in self.runs if run.result is not None and run.result.error]
        return f"{errors[0][0]}: {errors[0][1]}" if errors else None
