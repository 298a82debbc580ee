"""IterBasedTrainLoop: trains for a number of iterations."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from torch import nn

from eng.dataset.utils import length_of
from eng.logging.whole_numbers import whole_number
from eng.registry import LOOPS
from eng.runner.fact import fact
from eng.runner.run import Run
from eng.runner.state.rng import RngState

from ._cursor import _InfiniteDataloaderIterator
from ._generators import seed_workers
from .training import TrainLoop


@LOOPS.register_module()
class IterBasedTrainLoop(TrainLoop):
    """Trains for ``max_iters`` iterations, in as many passes over the data as necessary.

    For hooks, the complete training is one epoch.

    Args:
        runner: the runner to which the loop belongs.
        dataloader: dataloader of the training data, or its config; a dataloader without end is possible.
        max_iters: number of iterations.
        val_begin: number of the first iteration, counted from 1, after which the run validates. 1 by default.
        val_interval: iterations between two validations, 1000 by default; a float such as 0.25 is a fraction of a pass
            over the data, and ``dict(minutes=20)`` is a duration. A validation always follows the last iteration.
        dynamic_intervals: pairs ``(milestone, interval)``: from iteration ``milestone`` on, ``interval`` replaces
            ``val_interval``.
        val_sanity: number of batches of each validation dataset on which the run validates before the first iteration,
            so that an error in the validation shows at once. 0 (default) leaves this validation out.
        limit_batches: number of batches that are used of each pass over the data; None (default) uses all.
        overfit_batches: number of first batches on which every pass trains again; they stay in memory. None (default)
            trains on all batches.

    Raises:
        ValueError: ``max_iters`` is not a non-negative whole number.
    """

    counts_iterations = True

    def __init__(
        self,
        runner: Run,
        dataloader: object,
        max_iters: int,
        val_begin: int = 1,
        val_interval: float | dict[str, float] = 1000,
        dynamic_intervals: list[tuple[int, int]] | None = None,
        val_sanity: int = 0,
        limit_batches: int | None = None,
        overfit_batches: int | None = None,
    ) -> None:
        super().__init__(
            runner, dataloader, val_begin, val_interval, dynamic_intervals, val_sanity, limit_batches, overfit_batches
        )
        self._max_iters = whole_number("max_iters", max_iters, 0)
        self._max_epochs = 1
        self._start_pass = 0
        self._pass_begin = 0
        self._iterator: _InfiniteDataloaderIterator | None = None
        self._assigned_iterator: Any = None
        self._seeks = False

    max_epochs: int = fact(attrgetter("_max_epochs"), "Always 1, because hooks see the complete training as one epoch.")
    max_iters: int = fact(attrgetter("_max_iters"), "Iterations at which training ends.")

    @property
    def dataloader_iterator(self) -> Any:
        """The iterator that yields training batches without end; the first access starts the dataloader's workers.

        A subclass may assign another iterator. In a resumed run, a subclass that overrides :meth:`run` gets the batches
        from the first batch on: like MMEngine's loop, it must skip the batches on which the saved run has trained.
        """
        if self._assigned_iterator is not None:
            return self._assigned_iterator
        if self._iterator is None:
            if not self._seeks:
                self._start_pass = self._start_batch = 0
            on_start = self._enter_pass()
            self._iterator = _InfiniteDataloaderIterator(
                self.dataloader, self._start_pass, self._start_batch, on_start,
                before_pass=self._note_pass, saved=self._take_stream_state(), limit=self._max_iters,
            )  # fmt: skip
            self._start_batch = 0
        return self._iterator

    @dataloader_iterator.setter
    def dataloader_iterator(self, iterator: object) -> None:
        self._assigned_iterator = iterator

    def run(self) -> nn.Module:
        """Trains for ``max_iters`` iterations, validates at intervals, and returns the model."""
        runner = self._runner
        self._seeks = True
        runner.call_hook("before_train")
        runner.call_hook("before_train_epoch")
        self._skip_in_assigned_iterator()
        self._decide_current_val_interval()
        self._finish_validation()
        while self._iter < self._max_iters and not self.stop_training:
            if not runner.model.training:
                runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            if self._validation_is_due():
                self._validate()
        runner.call_hook("after_train_epoch")
        runner.call_hook("after_train")
        if self._iter >= self._max_iters and self._iterator is not None:
            self._iterator.end()
        self._end_all_workers()
        model: nn.Module = runner.model
        return model

    def run_iter(self, data_batch: Sequence[dict[str, Any]]) -> None:  # type: ignore[override]  # MMEngine's signature
        """Runs one iteration with the next batch."""
        super().run_iter(self._iter, data_batch)

    def go_on_from(self, position: dict[str, Any], rng: dict[str, RngState | None] | None) -> None:
        """Restores the counters, and the number of the pass over the data."""
        super().go_on_from(position, rng)
        self._epoch = 0
        self._start_pass = position["pass"]

    def forget_pass(self) -> None:
        """Drops the dataloader's iterator; the next iterator starts at the position that :meth:`go_on_from` sets."""
        self._iterator = None

    def _skip_in_assigned_iterator(self) -> None:
        """Skips the batches on which the saved run has trained, if a subclass has assigned an iterator of its own."""
        if self._assigned_iterator is not None:
            for _ in range(self._iter):
                next(self._assigned_iterator)
            self._start_batch = 0

    def _passes_of_assigned_iterator(self) -> tuple[int, int]:
        """Returns the completed passes and the batches of the current pass, for an iterator that user code assigned.

        Both are computed from the iteration and the dataloader's length; without a length there is one pass.
        """
        length = length_of(self.dataloader)
        if length:
            return divmod(self._iter, length)
        return 0, self._iter

    def _note_pass(self) -> None:
        """Records the first iteration of a new pass over the data and, at its first batch, the random states."""
        self._pass_begin = self._iter - self._start_batch
        if self._start_batch == 0:
            seed_workers(self.dataloader, self._runner.seed, self._pass_number())
            self._note_pass_rng()

    def _progress(self) -> int:
        return self._iter

    def _batches_done(self) -> int:
        """Returns how many batches of the current pass over the data are consumed, not counting the current batch."""
        if self._assigned_iterator is not None:
            return self._passes_of_assigned_iterator()[1]
        if self._iterator is None:
            return self._start_batch
        return self._iter - self._pass_begin

    def _batches_of_pass(self) -> Any:
        if self._iterator is None:
            return None
        return self._iterator.batches

    def _pass_number(self) -> int:
        if self._assigned_iterator is not None:
            return self._passes_of_assigned_iterator()[0]
        if self._iterator is not None:
            return self._iterator.epoch
        return self._start_pass

    def _validation_is_due(self) -> bool:
        """Whether a validation is due after the last completed iteration; always True after the last one of the run.

        False for a run without validation, and before the iteration ``val_begin``.
        """
        if self._runner.val_loop is None or self._iter < self.val_begin:
            return False
        if self._iter == self._max_iters:
            return True
        if self._timer is None and self._fraction is None:
            return bool(self._iter % self.val_interval == 0)
        length = length_of(self.dataloader) or 1
        return self._interval_is_over(self._iter / length, 1 / length)
