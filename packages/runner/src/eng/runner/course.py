"""The course of a run: what surrounds training, validation and test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from eng.hooks import NonFiniteLossHook
from eng.hooks.view import saver_of

from .assemble import observers
from .call import log_interruption
from .errors import RunInterrupted
from .failure import report_failure
from .lazy import Lazy
from .loops.base import BaseLoop
from .passport.of_run import RecordedRun, end_passport
from .state.run_state import RunState
from .strategy import BaseStrategy


class CourseRun(RecordedRun, Protocol):
    """A run that can be begun and ended."""

    strategy: BaseStrategy
    default_scope: str

    @property
    def state(self) -> RunState:
        """Where the run begins, and what its checkpoints hold."""

    def load_or_resume(self) -> None:
        """Goes on from a checkpoint, or takes its weights."""


@contextmanager
def running(run: CourseRun) -> Iterator[None]:
    """Makes the parts of a run the current ones while it runs.

    ``after_run`` hooks run in any case; where the run failed, their own failures are logged.
    """
    parts = (run.logger, run.message_hub, run.visualizer)
    with observers.being_current(parts, run.default_scope), run.hook_list.opened():
        try:
            yield
        except BaseException as error:
            if isinstance(error, RunInterrupted):
                log_interruption(error, run.work_dir, run.logger, run.cfg.filename)
            _close_strategy(run, error)
            run.hook_list.close(run)
            end_passport(run, error)
            raise
        run.strategy.close()
        run.call_hook("after_run")
        end_passport(run, None)


def _close_strategy(run: CourseRun, error: BaseException) -> None:
    """Ends what runs beside a training that failed or was stopped; a further failure is logged.

    Closing may wait for the other ranks. Where one rank failed alone, the others are inside another collective operation
    and would never answer: the strategy stays open. A signal or the time budget stops all ranks together.
    """
    if run.world_size > 1 and not isinstance(error, RunInterrupted):
        return
    try:
        run.strategy.close()
    except Exception:
        run.logger.exception("%s failed at the end of the run", type(run.strategy).__name__)


def train_to_the_end(run: CourseRun, loop: BaseLoop) -> None:
    """Runs the training loop, and runs it again each time ``nan_policy`` goes back to a checkpoint.

    Raises:
        Exception: what the loop raised, when it is reported and a checkpoint is left.
    """
    while True:
        try:
            loop.run()
            return
        except Exception as error:
            hook = run.hook_list.first(NonFiniteLossHook)
            if hook is None or not hook.go_back(run, error, run.state.origin()):
                report_failure(run, saver_of(run.hooks), error, saves=run.settings.on_error == "save")
                raise
            run.state.start_counting(run.iter, run.max_iters)


def evaluate(run: CourseRun, mode: str, part: Lazy[BaseLoop]) -> dict[str, float]:
    """Validates or tests and gives the metrics.

    Args:
        run: the run.
        mode: ``"val"`` or ``"test"``.
        part: the loop of this mode.

    Raises:
        MissingPartError: the run was not given what the mode needs.
    """
    run.settings.need(f"{mode}()", f"{mode}_dataloader", f"{mode}_cfg")
    with running(run):
        loop = part.need()
        run.call_hook("before_run")
        run.load_or_resume()
        metrics: dict[str, float] = loop.run()
    return metrics
