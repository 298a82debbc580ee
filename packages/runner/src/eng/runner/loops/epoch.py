"""Training by epochs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from eng.dataset.utils import length_of
from eng.logging.whole_numbers import whole_number
from eng.registry import LOOPS

from ._cursor import batches_from
from .training import TrainLoop


@LOOPS.register_module()
class EpochBasedTrainLoop(TrainLoop):
    """Trains for ``max_epochs`` passes over the data.

    Args:
        runner: the run.
        dataloader: batches to train on, or a config of them; it must have a length.
        max_epochs: number of passes.
        val_begin: first epoch after which to validate, from 1. 1 by default.
        val_interval: epochs between two validations; the last epoch always has one. 1 by default.
        dynamic_intervals: pairs ``(milestone, interval)``: from epoch ``milestone`` on, ``interval`` counts.

    Raises:
        ValueError: ``max_epochs`` is not a non-negative whole number.
        TypeError: the dataloader has no length.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(runner, dataloader, val_begin, val_interval, dynamic_intervals)
        self._max_epochs = whole_number("max_epochs", max_epochs, 0)
        if length_of(self.dataloader) is None:
            raise TypeError(
                "EpochBasedTrainLoop needs a dataloader with a length; for endless data use "
                "train_cfg=dict(by_epoch=False, max_iters=...)"
            )
        self._max_iters = self._max_epochs * len(self.dataloader)
        self._pass_begin = (0, 0)

    @property
    def max_epochs(self) -> int:
        """Epochs of the whole run."""
        return self._max_epochs

    @property
    def max_iters(self) -> int:
        """Iterations of the whole run."""
        return self._max_iters

    def run(self) -> nn.Module:
        """Trains, validates in between, and gives the model."""
        self._runner.call_hook("before_train")
        self._decide_current_val_interval()
        self._finish_validation()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if self._validation_is_due():
                self._validate()
        self._runner.call_hook("after_train")
        model: nn.Module = self._runner.model
        return model

    def run_epoch(self) -> None:
        """One pass over the data, or the rest of one."""
        self._runner.call_hook("before_train_epoch")
        self._runner.model.train()
        for idx, data_batch in self._numbered_batches():
            self.run_iter(idx, data_batch)
        self._runner.call_hook("after_train_epoch")
        self._epoch += 1
        self._pass_begin = (self._epoch, self._iter)

    def _numbered_batches(self) -> Iterable[tuple[int, Any]]:
        start, on_start = self._start_batch, self._enter_pass()
        self._start_batch = 0
        self._pass_begin = (self._epoch, self._iter - start)
        if on_start is None:
            return enumerate(self.dataloader)
        return enumerate(batches_from(self.dataloader, start, on_start), start)

    def go_on_from(self, position: dict[str, Any], rng: Any) -> None:
        """Takes the counters of a saved run; earlier epochs may have had another length than those to come."""
        super().go_on_from(position, rng)
        left = max(self._max_epochs - self._epoch, 0) * len(self.dataloader) - self._start_batch
        self._max_iters = self._iter + max(left, 0)

    def position(self, point: str | None) -> dict[str, Any]:
        """Where a run goes on that is saved now; at the end of an epoch, at the beginning of the next."""
        position = super().position(point)
        if point == "after_train_epoch":
            position.update({"epoch": self._epoch + 1, "pass": self._epoch + 1, "batch": 0, "samples": 0})
        return position

    def _batches_done(self) -> int:
        if self._start_batch:
            return self._start_batch
        epoch, iteration = self._pass_begin
        if epoch == self._epoch:
            return self._iter - iteration
        # A subclass with a run_epoch of its own does not note where its epochs begin.
        return max(self._iter - self._epoch * len(self.dataloader), 0)

    def _pass_number(self) -> int:
        return self._epoch

    def _progress(self) -> int:
        return self._epoch

    def _validation_is_due(self) -> bool:
        return (
            self._runner.val_loop is not None
            and self._epoch >= self.val_begin
            and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)
        )
