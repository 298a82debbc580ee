"""Lets Optuna choose the points of a sweep, with its samplers, pruners and storages; safe if a process is killed."""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._folder import Trial
from ._search import OptunaSearch, Point, check_num_trials
from ._space import Choice, Distribution, Float, Int, Normal
from ._text import near_names
from .errors import SpaceError, StorageError, SweepError

if TYPE_CHECKING:
    import optuna

_OWNER, _INDEX = "eng.owner", "eng.index"
_LOCK_TIMEOUT_S = 10.0


def import_optuna() -> Any:
    """Imports Optuna and silences its informational messages.

    Raises:
        SweepError: Optuna is not installed; the message says how to install it.
    """
    try:
        import optuna
    except ImportError as error:
        raise SweepError("this sweep needs Optuna: pip install optuna") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class FileLock:
    """File lock of an Optuna journal, which the operating system releases when the process that holds the lock ends.

    Optuna's own locks remain if the process that holds them is killed, so this class replaces them. Acquiring the lock
    also removes an incomplete last line, which a killed process may have left and which makes the journal unreadable.

    Args:
        path: path of the journal.
        timeout_s: seconds to wait if another process holds the lock.
    """

    def __init__(self, path: str, timeout_s: float = _LOCK_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._file: int | None = None

    def acquire(self) -> bool:
        """Waits for the lock and acquires it.

        Raises:
            StorageError: another process holds the lock for longer than the timeout.
        """
        file = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        end = time.monotonic() + self._timeout_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    os.close(file)
                    raise StorageError(
                        f"the journal {self._path} is locked by another process for more than {self._timeout_s:g} s; end "
                        "that process, or use another --storage"
                    ) from None
                time.sleep(0.01)
        self._file = file
        cut_half_line(Path(self._path))
        return True

    def release(self) -> None:
        """Releases the lock."""
        file, self._file = self._file, None
        if file is not None:
            fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)


def cut_half_line(path: Path) -> None:
    """Removes an incomplete last line from a file, which a killed process left behind."""
    with contextlib.suppress(FileNotFoundError), path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        position = end
        while position > 0:
            start = max(position - 4096, 0)
            file.seek(start)
            line_break = file.read(position - start).rfind(b"\n")
            if line_break >= 0:
                position = start + line_break + 1
                break
            position = start
        if position < end:
            file.truncate(position)


def open_storage(url: str) -> Any:
    """Opens the Optuna storage at the URL of a database or the path of a journal file.

    Raises:
        StorageError: the storage cannot be used.
    """
    optuna = import_optuna()
    with telling_storage_errors(url):
        if "://" not in url:
            from optuna.storages.journal import JournalFileBackend

            Path(url).parent.mkdir(parents=True, exist_ok=True)
            lock: Any = FileLock(url)
            return optuna.storages.JournalStorage(JournalFileBackend(url, lock_obj=lock))
        settings = {"connect_args": {"timeout": _LOCK_TIMEOUT_S}} if url.startswith("sqlite") else {}
        return optuna.storages.RDBStorage(url, engine_kwargs=settings)


@contextmanager
def telling_storage_errors(url: str) -> Iterator[None]:
    """Converts exceptions of Optuna and its database library to a `StorageError` that names the storage.

    Raises:
        StorageError: Optuna or the database library raised an exception.
    """
    optuna = import_optuna()
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except json.JSONDecodeError as error:
        raise StorageError(f"the storage {url} cannot be used: it is no journal of Optuna ({error})") from error
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError, OSError, ImportError) as error:
        causes = f"{error} {error.__cause__ or ''}"
        if "locked" in causes:
            message = "is locked: another process writes to it. End that process, or use another --storage"
        else:
            message = f"cannot be used: {str(error).splitlines()[0]}"
        raise StorageError(f"the storage {url} {message}") from error


def load_trial(storage_url: str, study_name: str, number: int) -> tuple[optuna.Study, optuna.Trial]:
    """Loads an Optuna study and one of its running trials, for the process that trains the trial.

    Raises:
        StorageError: the storage cannot be used.
    """
    optuna = import_optuna()
    storage = open_storage(storage_url)
    with telling_storage_errors(storage_url):
        study_id = storage.get_study_id_from_name(study_name)
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
        study = optuna.load_study(study_name=study_name, storage=storage)
    return study, optuna.trial.Trial(study, trial_id)


class OptunaSearcher:
    """Lets a sampler of Optuna choose the parameter values of each trial of a sweep.

    For each trial a new sampler is created, whose seed depends on the seed of the sweep and the number of earlier
    trials. A restarted controller process therefore draws the same values as one that was killed. If a controller is
    killed after it created a trial in Optuna and before it stored the name of its sweep in this trial, the next
    controller marks the trial as failed.

    Args:
        search: settings of the search.
        space: values or distribution of each axis.
        folder: folder of the sweep.
        owner: unique name of this sweep in the storage, which other sweeps may share.
        seed: seed of the sweep.
        mode: ``"max"`` or ``"min"``.

    Raises:
        SweepError: Optuna is not installed, has no such sampler or pruner, or the study has the opposite direction.
        StorageError: the storage cannot be used.
    """

    def __init__(
        self, search: OptunaSearch, space: Mapping[str, Distribution], *, folder: Path, owner: str, seed: int, mode: str
    ) -> None:
        self._optuna = import_optuna()
        self._search, self._owner = search, owner
        self._seed = f"{seed}" if search.storage is None else f"{seed} {owner}"
        self._marker = folder / ".asking"
        self._distributions = {key: distribution_of(axis) for key, axis in space.items()}
        self._values = {key: axis.values for key, axis in space.items() if isinstance(axis, Choice)}
        self.url = storage_url(search, folder)
        self.study_name = study_name(search, folder)
        direction = "maximize" if mode == "max" else "minimize"
        storage = open_storage(self.url)
        with telling_storage_errors(self.url):
            self._study = self._optuna.create_study(
                storage=storage,
                study_name=self.study_name,
                direction=direction,
                load_if_exists=True,
                pruner=build_pruner(search),
            )
        self._is_exhausted = False
        # A sampler that has no further values to propose, such as GridSampler, calls `stop` of the study. `stop` is
        # replaced here, so that the sweep learns of the end.
        self._study.stop = self._note_exhausted
        if self._study.direction.name.lower() != direction:
            raise SweepError(f"the study {self.study_name} of {self.url} does not {direction}; use another --study")

    def _note_exhausted(self) -> None:
        self._is_exhausted = True

    def recover(self, trials: Mapping[int, Trial]) -> list[Point]:
        """Returns the points of Optuna trials for which a killed controller of this sweep created no folder yet.

        Optuna trials in which a killed controller had not stored the name of its sweep are marked as failed.

        Args:
            trials: the trials in the sweep's folder, by number.

        Raises:
            StorageError: the storage lacks trials that the sweep's folder has.
        """
        known = {trial.runs[0].point.get("optuna") for trial in trials.values()}
        points = []
        first_unmarked = int(self._marker.read_text(encoding="ascii")) if self._marker.exists() else None
        with telling_storage_errors(self.url):
            absent = known - {frozen.number for frozen in self._study.get_trials(deepcopy=False)}
            if absent:
                raise StorageError(
                    f"the study {self.study_name} in {self.url} lacks {len(absent)} of the trials in the sweep's folder: it is "
                    "another storage. A relative path begins where the command starts"
                )
            for frozen in self._study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.RUNNING,)):
                owner = frozen.user_attrs.get(_OWNER)
                if owner == self._owner and frozen.number not in known and _INDEX in frozen.user_attrs:
                    points.append(self._point(frozen))
                elif owner is None and first_unmarked is not None and frozen.number >= first_unmarked:
                    self._study.tell(frozen.number, state=self._optuna.trial.TrialState.FAIL, skip_if_finished=True)
        self._marker.unlink(missing_ok=True)
        return points

    def next_point(self, trials: Mapping[int, Trial]) -> Point | None:
        """Returns the parameter values of the next trial; None if the study has the requested number of trials.

        The result is also None if the sampler has no further values to propose. The requested number includes the
        trials of all sweeps that share the storage.
        """
        with telling_storage_errors(self.url):
            every = self._study.get_trials(deepcopy=False)
            counted = [trial for trial in every if trial.user_attrs.get(_OWNER)]
            if self._is_exhausted or len(counted) >= self._search.num_trials:
                return None
            index = sum(trial.user_attrs[_OWNER] == self._owner for trial in counted)
            self._marker.write_text(str(len(every)), encoding="ascii")
            self._study.sampler = build_sampler(self._search, f"{self._seed} {len(counted)}")
            drawn = self._study.ask(self._distributions)
            drawn.set_user_attr(_INDEX, index)
            drawn.set_user_attr(_OWNER, self._owner)
            owned = [trial for trial in self._study.get_trials(deepcopy=False) if trial.user_attrs.get(_OWNER)]
            earlier = [trial for trial in owned if trial.number < drawn.number]
            # Another sweep that shares the storage may have drawn the last trial meanwhile. The trial drawn here is
            # then one too many and is marked as failed.
            if len(earlier) >= self._search.num_trials:
                drawn.set_user_attr(_OWNER, "")
                self._study.tell(drawn.number, state=self._optuna.trial.TrialState.FAIL)
                return None
            frozen = next(trial for trial in owned if trial.number == drawn.number)
        return self._point(frozen)

    def tell(self, trial: Trial) -> None:
        """Reports the state and value of a finished trial to Optuna."""
        states = self._optuna.trial.TrialState
        state = {"complete": states.COMPLETE, "pruned": states.PRUNED}.get(trial.state, states.FAIL)
        number = trial.runs[0].point["optuna"]
        with telling_storage_errors(self.url):
            value = trial.value if state == states.COMPLETE else None
            self._study.tell(number, value, state=state, skip_if_finished=True)

    def _point(self, frozen: Any) -> Point:
        """Converts a trial of Optuna to a point of the search space; the index of a choice is replaced by its value."""
        params = {
            key: self._values[key][value] if key in self._values else value for key, value in frozen.params.items()
        }
        ordered = {key: params[key] for key in self._distributions}
        return Point(frozen.user_attrs[_INDEX], ordered, {"optuna": frozen.number})


def storage_url(search: OptunaSearch, folder: Path) -> str:
    """Returns the URL or path of the storage: the one in the settings, else a journal in the sweep's folder."""
    return search.storage or str(folder / "optuna.log")


def study_name(search: OptunaSearch, folder: Path) -> str:
    """Returns the name of the study: the one in the settings, else the name of the sweep's folder."""
    return search.study or folder.resolve().name


def build_pruner(search: OptunaSearch) -> Any:
    """Creates the Optuna pruner of a search.

    Raises:
        SweepError: Optuna has no pruner of this name, or the pruner does not accept its arguments.
    """
    optuna = import_optuna()
    if search.pruner is None:
        return optuna.pruners.NopPruner()
    return build_object(class_of(optuna.pruners, search.pruner, "pruner", "Pruner"), search.pruner_args, "pruner")


def class_of(module: Any, name: str, role: str, ending: str) -> Any:
    """Returns a class of an Optuna module by its name, with or without the ending, such as ``"TPE"``.

    Raises:
        SweepError: there is no such class; the message lists similar names.
    """
    names = [entry for entry in module.__all__ if entry.endswith(ending) and not entry.startswith("Base")]
    for candidate in (name, f"{name}{ending}"):
        if candidate in names:
            return getattr(module, candidate)
    raise SweepError(f"Optuna has no {role} {name!r}{near_names(name, names)}")


def build_object(cls: Any, settings: Mapping[str, Any], role: str) -> Any:
    """Creates an object of an Optuna class.

    Raises:
        SweepError: the class does not accept these arguments.
    """
    try:
        return cls(**settings)
    except TypeError as error:
        raise SweepError(f"the {role} {cls.__name__}: {error}") from error


def check_search(search: OptunaSearch, space: Mapping[str, Distribution]) -> None:
    """Checks the settings of an Optuna search without opening its storage.

    Raises:
        SpaceError: Optuna has no distribution for an axis.
        SweepError: Optuna is not installed, has no such sampler or pruner, or these do not accept their arguments.
    """
    check_num_trials(search.num_trials)
    for key, axis in space.items():
        if isinstance(axis, Normal):
            raise SpaceError(f"{key}: Optuna has no normal distribution; use uniform, loguniform, int or choice")
    build_sampler(search, "")
    build_pruner(search)


def distribution_of(axis: Distribution) -> Any:
    """Returns the Optuna distribution for an axis, which is a varied config key with its values.

    For a `Choice` the distribution draws the index of the value, because Optuna cannot store values such as lists.
    """
    distributions = import_optuna().distributions
    if isinstance(axis, Choice):
        return distributions.CategoricalDistribution(range(len(axis.values)))
    if isinstance(axis, Int):
        return distributions.IntDistribution(axis.low, axis.high, log=axis.log, step=axis.step)
    assert isinstance(axis, Float)
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)


def build_sampler(search: OptunaSearch, seed: str) -> Any:
    """Creates the Optuna sampler of a search.

    If the sampler accepts a seed and the search sets none, a seed is derived from the text `seed`.

    Raises:
        SweepError: Optuna has no sampler of this name, or the sampler does not accept its arguments.
    """
    cls = class_of(import_optuna().samplers, search.sampler, "sampler", "Sampler")
    settings = dict(search.sampler_args)
    if "seed" in inspect.signature(cls).parameters:
        settings.setdefault("seed", random.Random(f"eng.tune {seed}").randrange(2**31))
    return build_object(cls, settings, "sampler")
