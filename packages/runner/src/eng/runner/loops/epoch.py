"""EpochBasedTrainLoop: trains for a number of epochs."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from torch import nn

from eng.dataset._loader_parts import dataset_of, worker_count
from eng.dataset.utils import length_of
from eng.logging.whole_numbers import whole_number
from eng.logging.words import counted
from eng.registry import LOOPS
from eng.runner.fact import fact
from eng.runner.run import Run
from eng.runner.state.rng import RngState

from ._cursor import batches_from
from ._ranks import while_all_have_one
from .training import TrainLoop, no_batch

logger = logging.getLogger(__name__)


@LOOPS.register_module()
class EpochBasedTrainLoop(TrainLoop):
    """Trains for ``max_epochs`` passes over the data.

    Args:
        runner: the runner to which the loop belongs.
        dataloader: dataloader of the training data, or its config; if the dataloader has no length, an epoch ends when
            its stream ends.
        max_epochs: number of passes over the data.
        val_begin: number of the first epoch, counted from 1, after which the run validates. 1 by default.
        val_interval: epochs between two validations, 1 by default; a float such as 0.25 is a fraction of an epoch, and
            ``dict(minutes=20)`` is a duration. A validation always follows the last epoch. With a fraction or minutes,
            ``val_begin`` is the epoch in which validations begin.
        dynamic_intervals: pairs ``(milestone, interval)``: from epoch ``milestone`` on, ``interval`` replaces
            ``val_interval``.
        val_sanity: number of batches of each validation dataset on which the run validates before the first iteration,
            so that an error in the validation shows at once. 0 (default) leaves this validation out.
        limit_batches: number of batches that are used of each pass over the data; None (default) uses all.
        overfit_batches: number of first batches on which every pass trains again; they stay in memory. None (default)
            trains on all batches.

    Raises:
        ValueError: ``max_epochs`` is not a non-negative whole number.
    """

    def __init__(
        self,
        runner: Run,
        dataloader: object,
        max_epochs: int,
        val_begin: int = 1,
        val_interval: float | dict[str, float] = 1,
        dynamic_intervals: list[tuple[int, int]] | None = None,
        val_sanity: int = 0,
        limit_batches: int | None = None,
        overfit_batches: int | None = None,
    ) -> None:
        super().__init__(
            runner, dataloader, val_begin, val_interval, dynamic_intervals, val_sanity, limit_batches, overfit_batches
        )
        self._max_epochs = whole_number("max_epochs", max_epochs, 0)
        length = length_of(self.dataloader)
        if length is None:
            source = dataset_of(self.dataloader)
            if source is None:
                source = self.dataloader
            logger.warning(
                "The training dataloader over %s has no length: an epoch ends when its stream ends, and the number of "
                "iterations is not known before. For a stream without end write train_cfg=dict(by_epoch=False, "
                "max_iters=...)",
                type(source).__name__,
            )
        self._max_iters: float = self._max_epochs * (math.inf if length is None else length)
        self._pass_begin = (0, 0)
        self._batches: Any = None

    max_epochs: int = fact(attrgetter("_max_epochs"), "Epochs at which training ends.")
    max_iters: int = fact(
        attrgetter("_max_iters"),
        "Iterations at which training ends; ``math.inf`` if the dataloader has no length.",
    )

    def run(self) -> nn.Module:
        """Trains, validates in between, and returns the model."""
        self._runner.call_hook("before_train")
        self._decide_current_val_interval()
        self._finish_validation()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if self._validation_is_due():
                self._validate()
        self._runner.call_hook("after_train")
        self._end_all_workers()
        model: nn.Module = self._runner.model
        return model

    def run_epoch(self) -> None:
        """Trains one epoch; the first epoch of a resumed run starts where its checkpoint was saved.

        If ``val_interval`` is a duration or a fraction of an epoch, validations also run between two batches.

        Raises:
            ValueError: a dataloader without length yields no batch.
        """
        self._runner.call_hook("before_train_epoch")
        self._runner.model.train()
        inside = self.validates_inside_pass
        begin, is_whole = self._iter, not self._start_batch
        for idx, data_batch in self._numbered_batches():
            self.run_iter(idx, data_batch)
            if inside and self._is_due_inside_pass():
                self._validate()
                self._runner.model.train()
        if self._iter == begin and is_whole and self._max_iters == math.inf:
            raise ValueError(self._no_batch_in_epoch())
        # Without a length of the dataloader, run_iter() cannot know which iteration is the last one of the run.
        if self._max_iters == math.inf and self._epoch + 1 == self._max_epochs:
            self._end_windows()
        self._runner.call_hook("after_train_epoch")
        self._epoch += 1
        self._pass_begin = (self._epoch, self._iter)

    def _no_batch_in_epoch(self) -> str:
        """Returns the error text for an epoch without batches: the first one of the run, or a later one."""
        if not self._iter:
            return no_batch(self.dataloader)
        return (
            f"the training dataloader gave {counted(self._iter, 'batch', 'batches')} and none in epoch {self._epoch + 1}: it begins no second time. "
            "Write max_epochs=1, or give an object whose __iter__ starts anew, such as an IterableDataset in place of a generator"
        )

    def _numbered_batches(self) -> Iterable[tuple[int, Any]]:
        """Returns pairs of batch number and batch of an epoch.

        The first epoch of a resumed run leaves out the batches on which the saved run has already trained.
        """
        start, on_start = self._start_batch, self._enter_pass()
        self._start_batch = 0
        self._pass_begin = (self._epoch, self._iter - start)
        if on_start is None:
            batches = iter(self.dataloader)
        else:
            batches = batches_from(self.dataloader, start, on_start, self._take_stream_state())
        # A reference to the iterator would keep its worker processes alive after the end of the pass.
        if worker_count(self.dataloader):
            self._batches = None
        else:
            self._batches = batches
        return enumerate(while_all_have_one(batches, self.dataloader), start)

    def go_on_from(self, position: dict[str, Any], rng: dict[str, RngState | None] | None) -> None:
        """Restores the counters, and recomputes ``max_iters``, because earlier epochs may have had another length."""
        super().go_on_from(position, rng)
        length = length_of(self.dataloader)
        if length is not None:
            left = max(self._max_epochs - self._epoch, 0) * length - self._start_batch
            self._max_iters = self._iter + max(left, 0)

    def position(self, point: str | None) -> dict[str, Any]:
        """See :meth:`TrainLoop.position`; a checkpoint saved at ``after_train_epoch`` resumes at the next epoch."""
        position = super().position(point)
        if point == "after_train_epoch":
            position.update({"epoch": self._epoch + 1, "pass": self._epoch + 1, "batch": 0, "samples": 0})
        return position

    def _batches_done(self) -> int:
        """Returns how many batches of the current epoch are consumed, not counting the current batch.

        Before a resumed run reads its first batch, these are the batches on which the saved run has trained.
        """
        if self._start_batch:
            return self._start_batch
        epoch, iteration = self._pass_begin
        if epoch == self._epoch:
            return self._iter - iteration
        # A subclass that overrides run_epoch does not record in _pass_begin at which iteration the current epoch began,
        # so that iteration is computed as if all epochs had the same number of batches.
        return max(self._iter - self._epoch * (length_of(self.dataloader) or 0), 0)

    def _batches_of_pass(self) -> Any:
        return self._batches

    def _pass_number(self) -> int:
        return self._epoch

    def _progress(self) -> int:
        return self._epoch

    def _validation_is_due(self) -> bool:
        """Whether a validation is due after the last completed epoch; always True after the last epoch of the run.

        False for a run without validation, and before the epoch ``val_begin``.
        """
        if self._runner.val_loop is None or self._epoch < self.val_begin:
            return False
        if self._epoch == self._max_epochs or self._timer is not None or self._fraction is not None:
            return self._epoch == self._max_epochs or self._interval_is_over(self._epoch, self._part_of_epoch())
        return bool(self._epoch % self.val_interval == 0)

    def _is_due_inside_pass(self) -> bool:
        """Whether a validation is due after the current batch of an epoch.

        False after the last batch of an epoch: :meth:`run` decides about a validation there, after it has counted the
        epoch.
        """
        batch, part = self._batches_done(), self._part_of_epoch()
        in_time = self._epoch + 1 >= self.val_begin
        if not self.validates_inside_pass or not in_time or self._runner.val_loop is None or batch * part >= 1:
            return False
        return self._interval_is_over(self._epoch + batch * part, part)

    def _part_of_epoch(self) -> float:
        """Returns the fraction of an epoch that one batch is; 0 if the dataloader has no length."""
        length = length_of(self.dataloader)
        if length:
            return 1 / length
        return 0.0
