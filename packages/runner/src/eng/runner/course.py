"""Runs training, validation or test, with the actions at the beginning and at the end of the run."""

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
    """The members of a Runner that this module uses."""

    strategy: BaseStrategy
    default_scope: str

    @property
    def state(self) -> RunState:
        """Collects and restores the state of the run."""

    def load_or_resume(self) -> None:
        """Resumes from a checkpoint, or loads its weights."""


@contextmanager
def running(run: CourseRun) -> Iterator[None]:
    """Makes the logger, message hub, visualizer and scope of a run the current ones while the run trains or evaluates.

    ``after_run`` of the hooks is called in any case. When the run has failed, an error in ``after_run`` is logged and
    not raised, so that it does not hide the first error.
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
    """Closes the strategy of a run that failed or was interrupted; an error while closing is logged.

    Closing may wait for the other ranks. If one rank of several failed alone, the others wait in another collective
    operation and would never answer, so the strategy stays open. A signal or the time budget stops all ranks together.
    """
    if run.world_size > 1 and not isinstance(error, RunInterrupted):
        return
    try:
        run.strategy.close()
    except Exception:
        run.logger.exception("%s failed at the end of the run", type(run.strategy).__name__)


def train_to_the_end(run: CourseRun, loop: BaseLoop) -> None:
    """Runs the training loop, and runs it again each time ``nan_policy="rollback"`` returns to a checkpoint.

    Raises:
        Exception: the loop's error, after it was reported and, if possible, a checkpoint was saved.
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
    """Runs the validation or the test of a run and returns the metrics.

    Args:
        run: the run.
        mode: ``"val"`` or ``"test"``.
        part: the loop of this mode, which is built if necessary.

    Raises:
        MissingPartError: the dataloader or the loop config of this mode is None.
    """
    run.settings.need(f"{mode}()", f"{mode}_dataloader", f"{mode}_cfg")
    with running(run):
        loop = part.need()
        run.call_hook("before_run")
        run.load_or_resume()
        metrics: dict[str, float] = loop.run()
    return metrics
