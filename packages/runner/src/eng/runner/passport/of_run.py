"""Writes ``passport.json`` when a training run begins and ``end.json`` when the run ends; only rank 0 writes."""

from __future__ import annotations

from typing import Any, Protocol

from eng.runner.run import Run

from .ending import ending
from .record import Passport


class RecordedState(Protocol):
    """The attributes of a run's state that a passport records.

    :class:`eng.runner.state.run_state.RunState` has these attributes.

    Attributes:
        has_begun_training: whether the run trains, and does not only validate or test.
        parent: checkpoint and name of the run from which this run was resumed; None for a new run.
        restored_hyperparameters: settings that the resumed checkpoint overrides, by dotted key.
    """

    has_begun_training: bool
    parent: dict[str, Any] | None
    restored_hyperparameters: dict[str, str]


class RecordedRun(Run, Protocol):
    """The members of a Runner that this module uses."""

    passport: Passport

    @property
    def state(self) -> RecordedState:
        """State of the run: whether it has begun to train, and the checkpoint from which it was resumed."""


def write_passport(runner: RecordedRun) -> None:
    """Writes ``passport.json``, which describes this launch: config, code, data, software, seeds. Only rank 0 writes.

    Args:
        runner: the runner, whose model and training dataloader must be built.
    """
    if runner.rank == 0:
        seeds = {**runner.settings.randomness, "seed": runner.seed}
        facts = {
            **runner.run_facts(),
            "kept": runner.state.restored_hyperparameters,
            "experiment_name": runner.experiment_name,
        }
        runner.passport.write("train", facts, runner.cfg, seeds, runner.state.parent)


def end_passport(runner: RecordedRun, error: BaseException | None) -> None:
    """Records how the run ended in ``end.json``, beside the run's ``passport.json``, if training had begun.

    The passport is the JSON file that describes this launch: config, code, data, software, seeds. Only rank 0 writes.

    Args:
        runner: the runner that trained.
        error: the exception that ended the training; None if the training is complete.
    """
    if runner.rank == 0 and runner.state.has_begun_training:
        runner.passport.end(*ending(runner, error))
