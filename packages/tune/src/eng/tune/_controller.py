"""The controller of a sweep, which starts runs and collects their results; it can be killed and restarted any time."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ._definition import Definition, trials_in
from ._executors import Executor, Job
from ._folder import Result, Run, Trial
from ._search import Point, Searcher
from .errors import MissingMetricError, SweepError

__all__ = ["Controller", "Stopped"]

logger = logging.getLogger(__name__)
_WAIT_S = 0.1
_MAX_RESTARTS = 3


class Stopped(BaseException):
    """Raised in the controller, the process that runs a sweep, when it receives SIGINT or SIGTERM.

    Args:
        number: number of the signal.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number


@dataclass
class Controller:
    """Trains a config with one parameter combination after another until the search proposes no further combination.

    Args:
        folder: folder of the sweep; this process must hold its controller lock.
        definition: settings of the sweep.
        searcher: proposes the parameter combinations (points of the search space).
        executor: starts the training processes.
        max_failures: the sweep ends with an error if more trials than this fail; None for no limit.
        on_trial: called with every finished trial.
        retry_failed: whether to restart runs that failed before this controller process started.
    """

    folder: Path
    definition: Definition
    searcher: Searcher
    executor: Executor
    max_failures: int | None = None
    on_trial: Callable[[Trial], None] = lambda trial: None
    retry_failed: bool = False

    def __post_init__(self) -> None:
        self._jobs: dict[Run, Job] = {}
        self._restarts: dict[Run, int] = {}
        self._reported: set[int] = set()
        self.trials: dict[int, Trial] = {}

    def run(self) -> dict[int, Trial]:
        """Runs all trials and returns them by number.

        Raises:
            SweepError: more than ``max_failures`` trials failed.
            MissingMetricError: the validation of the config does not compute the metric of the sweep.
            Stopped: the controller received a signal; its local runs have saved a checkpoint.
        """
        with _stopping_by_signals():
            try:
                self._recover()
                while self._advance():
                    time.sleep(_WAIT_S)
            finally:
                self.executor.close()  # type: ignore[attr-defined]  # every executor of this package has the method `close`
        return self.trials

    def _recover(self) -> None:
        """Reads the trials from the sweep's folder and takes over what an earlier controller process started.

        With `retry_failed` the results of failed runs are deleted, so that these runs start again. Folders are created
        for trials that the search has chosen and that have no folder yet. Runs that are still working are attached.
        """
        self.trials = trials_in(self.folder, self.definition)
        for trial in self.trials.values() if self.retry_failed else ():
            for run in trial.runs:
                if run.result is not None and run.result.state == "failed":
                    run.forget_result()
        for point in self.searcher.recover(self.trials):
            self._create_trial(point)
        for trial in self.trials.values():
            for run in self._open_runs(trial):
                job = self.executor.attach(run)
                if job is not None:
                    self._jobs[run] = job

    def _advance(self) -> bool:
        """Collects the runs that have ended, starts new runs on free capacity, and returns whether runs are working."""
        for run, job in list(self._jobs.items()):
            status = job.status()
            if status is not None:
                del self._jobs[run]
                self._note_end(run, status)
        self._report_finished_trials()
        while len(self._jobs) < self.executor.capacity:
            following = self._next_run()
            if following is None:
                break
            self._jobs[following] = self.executor.start(following)
        return bool(self._jobs)

    def _note_end(self, run: Run, status: int) -> None:
        """Handles the end of a run's process.

        A run that has stored no result is restarted up to three times; then its result is ``"failed"``. Status 3 means
        that another process is training the run, so that the run is not restarted.
        """
        if run.result is not None or status == 3:
            return
        self._restarts[run] = self._restarts.get(run, 0) + 1
        if self._restarts[run] > _MAX_RESTARTS:
            run.finish(
                Result("failed", error=f"{self._restarts[run]} processes ended with status {status}, the last too")
            )
        else:
            logger.warning(
                "%s ended with status %d before its end: it goes on from its newest checkpoint", run.name, status
            )

    def _report_finished_trials(self) -> None:
        """Reports to the search and to `on_trial` each trial that has finished since the last call of this method.

        Raises:
            SweepError: more than `max_failures` trials failed.
            MissingMetricError: the validation of the config does not compute the metric of the sweep.
        """
        for number, trial in self.trials.items():
            if number in self._reported or trial.state == "open":
                continue
            _raise_fatal(trial)
            self._reported.add(number)
            self.searcher.tell(trial)
            self.on_trial(trial)
        failed = [trial for trial in self.trials.values() if trial.number in self._reported and trial.state == "failed"]
        if self.max_failures is not None and len(failed) > self.max_failures:
            raise SweepError(
                f"{len(failed)} trial{'s' * (len(failed) > 1)} failed and --max-failures is {self.max_failures}: the last is {failed[-1].error}"
            )

    def _next_run(self) -> Run | None:
        """Returns the next run to start, of an unfinished or a new trial; None if the search is finished.

        Unfinished runs that are still working, started by an earlier controller process, are attached instead.
        """
        for trial in self.trials.values():
            for run in self._open_runs(trial):
                if run not in self._jobs:
                    job = self.executor.attach(run)
                    if job is None:
                        return run
                    self._jobs[run] = job
        point = self.searcher.next_point(self.trials)
        return None if point is None else self._create_trial(point).runs[0]

    def _open_runs(self, trial: Trial) -> Iterator[Run]:
        if trial.state == "open":
            yield from (run for run in trial.runs if run.result is None)

    def _create_trial(self, point: Point) -> Trial:
        """Creates a trial for a point of the search space: one folder per run, each with the parameters of the trial.

        The folder of the first run is written last. If it exists, the folders of all runs exist, even if the controller
        was killed while it wrote them.
        """
        trial = self.definition.trial(self.folder, point.number, point.params)
        for fold, run in reversed(list(enumerate(trial.runs))):
            options: dict[str, Any] = dict(point.params)
            if self.definition.folds:
                options.update(dict.fromkeys(self.definition.fold_keys, fold))
            run.write({"number": point.number, "params": point.params, "options": options, **point.extra})
        self.trials[trial.number] = trial
        return trial


def _raise_fatal(trial: Trial) -> None:
    """Raises an error if a run of the trial failed for a reason that makes every other trial fail as well.

    The results of such runs are deleted first, so that the runs start again after the user has corrected the config.

    Raises:
        MissingMetricError: the validation of the config does not compute the metric of the sweep.
    """
    fatal = [(run, run.result) for run in trial.runs if run.result is not None and run.result.is_fatal]
    for run, _ in fatal:
        run.forget_result()
    if fatal:
        raise MissingMetricError(str(fatal[0][1].error))


@contextmanager
def _stopping_by_signals() -> Iterator[None]:
    """Makes SIGINT and SIGTERM raise :class:`Stopped` inside the ``with`` block (in the main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
