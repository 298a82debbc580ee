"""Writes the passport of a training run: at its beginning and at its end, on rank 0 alone."""

from __future__ import annotations

from typing import Any, Protocol

from eng.runner.run import Run

from .ending import ending
from .record import Passport


class RecordedState(Protocol):
    """What a passport records of a run's state; :class:`eng.runner.state.run_state.RunState` has these attributes."""

    has_begun_training: bool
    parent: dict[str, Any] | None
    kept: dict[str, str]


class RecordedRun(Run, Protocol):
    """The members of a Runner that this module uses."""

    passport: Passport

    @property
    def state(self) -> RecordedState:
        """Whether the run trains, and the checkpoint from which it was resumed."""


def write_passport(runner: RecordedRun) -> None:
    """Writes the passport of this start: config, code, data, software and seeds.

    Args:
        runner: the run, whose parts are built.
    """
    if runner.rank == 0:
        seeds = {**runner.settings.randomness, "seed": runner.seed}
        facts = {**runner.run_facts(), "kept": runner.state.kept, "experiment_name": runner.experiment_name}
        runner.passport.write("train", facts, runner.cfg, seeds, runner.state.parent)


def end_passport(runner: RecordedRun, error: BaseException | None) -> None:
    """Records how this start ended, if it was a training.

    Args:
        runner: the run.
        error: the exception that ended the training; None after a complete training.
    """
    if runner.rank == 0 and runner.state.has_begun_training:
        runner.passport.end(*ending(runner, error))
