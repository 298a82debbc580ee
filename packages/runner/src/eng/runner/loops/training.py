"""TrainLoop: base class of training loops; counts iterations, validates during training, and resumes at any batch."""

from __future__ import annotations

import bisect
from abc import abstractmethod
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from eng.dataset._loader_parts import batch_size_of, dataset_of, drops_last
from eng.dataset.utils import length_of
from eng.dist import get_data_world_size
from eng.hooks._timed import as_timed_interval
from eng.logging.whole_numbers import whole_number
from eng.logging.words import counted, metrics_line
from eng.optim import OptimWrapper
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name
from eng.runner.assemble.compilation import kept_outputs
from eng.runner.fact import fact
from eng.runner.run import Run
from eng.runner.state.rng import RngState, capture_rng, restore_rng
from eng.runner.utils import calc_dynamic_intervals

from ._fractions import as_fraction, crosses
from ._generators import (
    capture_dataset_generators,
    capture_generators,
    capture_loop_generators,
    restore_generators,
    restore_loop_generators,
    seed_workers,
    warn_of_shared_generators,
    warn_of_worker_generators,
)
from ._limits import is_part_of_loader, with_limit
from ._samples import sample_numbers
from ._shares import readers_of, tells_other_readers
from ._streams import StreamState, capture_stream
from .base import BaseLoop
from .foreign import as_base_loop


class TrainLoop(BaseLoop):
    """A loop that trains a model and validates the model at intervals during training.

    Args:
        runner: the runner to which the loop belongs.
        dataloader: dataloader of the training data, or its config.
        val_begin: number of the first epoch or iteration, counted from 1, after which the run validates.
        val_interval: epochs or iterations between two validations; a float such as 0.25 is a fraction of an epoch, and
            ``dict(minutes=20)`` is a duration.
        dynamic_intervals: pairs ``(milestone, interval)``: from epoch or iteration ``milestone`` on, ``interval``
            replaces ``val_interval``.
        val_sanity: number of batches of each validation dataset on which the run validates before the first iteration,
            so that an error in the validation shows at once. 0 (default) leaves this validation out.
        limit_batches: number of batches that are used of each pass over the data; None (default) uses all.
        overfit_batches: number of first batches on which every pass trains again; they stay in memory. None (default)
            trains on all batches.

    Raises:
        ValueError: a number is too small or of the wrong type, the dataloader is empty, or ``val_interval`` is a
            fraction of an epoch and the dataloader has no length.

    Attributes:
        validated_iter: iteration at which the last completed validation began; -1 before the first validation.
        left_out: iterations that skip their batch, because the loss of the batch was NaN or infinite in an earlier
            attempt.
    """

    def __init__(
        self,
        runner: Run,
        dataloader: object,
        val_begin: int = 1,
        val_interval: float | dict[str, float] = 1,
        dynamic_intervals: list[tuple[int, int]] | None = None,
        val_sanity: int = 0,
        limit_batches: int | None = None,
        overfit_batches: int | None = None,
    ) -> None:
        super().__init__(runner, dataloader)
        self.dataloader = with_limit(self.dataloader, limit_batches, overfit_batches)
        if length_of(self.dataloader) == 0:
            raise ValueError(no_batch(self.dataloader))
        self._epoch = 0
        self._iter = 0
        self.val_begin = whole_number("val_begin", val_begin, 0)
        self._timer = as_timed_interval("val_interval", val_interval)
        self._fraction = as_fraction(val_interval)
        if self._fraction is not None and length_of(self.dataloader) is None:
            raise ValueError(
                f"val_interval={val_interval} is a part of an epoch, and the training dataloader has no length: write "
                "val_interval=dict(minutes=20), or train_cfg=dict(by_epoch=False, max_iters=..., val_interval=<iterations>)"
            )
        self.val_interval: Any = val_interval
        if self._timer is None and self._fraction is None:
            self.val_interval = whole_number("val_interval", val_interval, 1)
        self.val_sanity = whole_number("val_sanity", val_sanity, 0)
        for index, (milestone, interval) in enumerate(dynamic_intervals or ()):
            whole_number(f"dynamic_intervals[{index}][0]", milestone, 0)
            whole_number(f"dynamic_intervals[{index}][1]", interval, 1)
        self.stop_training = False
        self.validated_iter = -1
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(self.val_interval, dynamic_intervals)
        self._start_batch = 0
        self._rng_to_restore: RngState | None = None
        self._pass_rng: RngState | None = None
        self._val_rng: RngState | None = None
        self._stream_state: StreamState | None = None
        self._is_due_by_checkpoint = False
        self.left_out: set[int] = set()

    @property
    def validates_inside_pass(self) -> bool:
        """Whether validations may come between two batches of a pass over the data."""
        return self.counts_iterations or self._timer is not None or self._fraction is not None

    epoch: int = fact(attrgetter("_epoch"), "Completed epochs.")
    iter: int = fact(attrgetter("_iter"), "Completed iterations.")

    @property
    def is_validating(self) -> bool:
        """Whether the loop is inside a validation that it started."""
        return self._val_rng is not None

    @abstractmethod
    def _batches_done(self) -> int:
        """Returns how many batches of the current pass over the data are consumed, not counting the current batch."""

    def _batches_of_pass(self) -> Any:
        """Returns the dataloader's iterator of the current pass; None if the loop stores no reference to it."""
        return None

    @abstractmethod
    def _pass_number(self) -> int:
        """Returns the number of completed passes over the data."""

    @abstractmethod
    def _validation_is_due(self) -> bool:
        """Whether a validation is due at the current epoch and iteration."""

    def _is_due_inside_pass(self) -> bool:
        """Whether a validation is due after the current batch, inside a pass over the data."""
        return self._validation_is_due()

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Runs one iteration: ``before_train_iter`` of the hooks, the model's ``train_step``, and ``after_train_iter``.

        An iteration in ``left_out`` skips its batch. In the last iteration of the run, the optimizer steps even if
        gradient accumulation is incomplete.

        Args:
            idx: index of the batch in the current pass over the data.
            data_batch: the batch.
        """
        runner = self._runner
        if self.left_out and self._iter in self.left_out:
            self._pass_over(idx, data_batch)
            return
        runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        model: Any = runner.model
        step = self.split_step or model.train_step
        outputs = kept_outputs(model, step(data_batch, optim_wrapper=runner.optim_wrapper))
        if self._iter + 1 >= self.max_iters:
            self._end_windows()
        runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1

    def _end_all_workers(self) -> None:
        """Ends the worker processes of the training and validation dataloaders at the end of the run."""
        for loop in (self, self._val_loop()):
            if loop is not None:
                loop.end_workers()

    def _pass_over(self, idx: int, data_batch: object) -> None:
        """Counts an iteration without training on its batch.

        In the last iteration of the run hooks are called nevertheless, so that they can save a checkpoint.
        """
        if self._iter + 1 == self.max_iters:
            self._runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
            self._end_windows()
            self._runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs={})
        self._iter += 1

    def _end_windows(self) -> None:
        """Makes the optimizer step of each optimizer wrapper whose gradient accumulation is incomplete."""
        for wrapper in wrappers_by_name(self._runner.optim_wrapper).values():
            if isinstance(wrapper, OptimWrapper):
                wrapper.end_window(self._runner.model)

    def _validate(self) -> None:
        """Runs the validation loop, and keeps the random states at its beginning for checkpoints saved inside it."""
        self._val_rng = self._capture()
        self._runner.val_loop.run()
        self.validated_iter = self._iter
        self._val_rng = None
        self._is_due_by_checkpoint = False
        if self._timer is not None:
            self._timer.begin(self._iter)

    def _try_validation(self) -> None:
        """Validates on ``val_sanity`` batches of each dataset before the first iteration, to find errors early.

        No hook is called and the random generators are restored, so that training is the same as without this check. A
        resumed run does not repeat the check.
        """
        loop = self._val_loop()
        if not self.val_sanity or self._iter or self._start_batch or loop is None:
            return
        before = self._capture()
        metrics = loop.try_batches(self.val_sanity)
        if metrics is None:
            return
        restore_rng(before)
        restore_loop_generators(loop, before["val_loader"])
        self._runner.logger.info(
            "Sanity validation (%s of each set) passed: %s",
            counted(self.val_sanity, "batch", "batches"),
            metrics_line(metrics),
        )

    def _interval_is_over(self, progress: float, batch: float) -> bool:
        """Whether a ``val_interval`` in minutes, or as a fraction of an epoch, ends at the current iteration.

        Args:
            progress: completed epochs with their fraction, such as 2.25.
            batch: fraction of an epoch that one batch is, such as 0.01.
        """
        if self._timer is not None:
            return self._timer.is_over(self._iter)
        return self._fraction is not None and crosses(progress, batch, self._fraction)

    @abstractmethod
    def _progress(self) -> int:
        """Returns the number of completed epochs or iterations, in the unit of ``val_begin`` and ``val_interval``."""

    def _decide_current_val_interval(self) -> None:
        """Sets ``val_interval`` to the interval that ``dynamic_intervals`` gives for the next epoch or iteration."""
        step = bisect.bisect(self.dynamic_milestones, self._progress() + 1)
        self.val_interval = self.dynamic_intervals[step - 1]

    def position(self, point: str | None) -> dict[str, Any]:
        """Returns the position at which a run would resume from a checkpoint saved now, as a dict.

        Args:
            point: name of the hook point that is being called, None between two points. The hook point decides whether
                the current iteration and epoch count as completed.
        """
        iteration, batch = self._iter, self._batches_done()
        if point == "after_train_iter":
            iteration, batch = iteration + 1, batch + 1
        validated_iter = self.validated_iter
        if point == "end_of_validation":
            validated_iter = self._iter
        return {
            **self._timed_position(point, iteration),
            "epoch": self._epoch,
            "iter": iteration,
            "pass": self._pass_number(),
            "batch": batch,
            "samples": batch * self._samples_per_batch(),
            "readers": readers_of(self.dataloader),
            "validated_iter": validated_iter,
            "stop_training": self.stop_training,
        }

    def _timed_position(self, point: str | None, iteration: int) -> dict[str, Any]:
        """Returns what a checkpoint stores about a ``val_interval`` in minutes; empty for every other ``val_interval``.

        ``val_elapsed_s`` holds the seconds since the last validation; ``val_due`` says whether a validation is due.
        """
        if self._timer is None:
            return {}
        is_due = self._val_rng is not None and point != "end_of_validation"
        if point == "after_train_iter":
            is_due = self._timer.is_over(iteration)
        return {"val_due": is_due or self._is_due_by_checkpoint, "val_elapsed_s": self._timer.elapsed}

    def moment(self, point: str | None) -> dict[str, Any]:
        """Returns the training position that is stored with a scalar written now.

        A resumed run copies the scalars of earlier launches up to its own position, so that its curves are continuous.

        Args:
            point: name of the hook point that is being called; None between two points, as inside the model.

        Returns:
            A dict with ``iteration``, the number of completed iterations including the current one, and ``mode``:
            ``"train"`` inside an iteration, ``"val"`` inside a validation, ``"epoch"`` between iterations.
        """
        if self._val_rng is not None:
            return {"iteration": self._iter, "mode": "val"}
        if point in (None, "before_train_iter", "after_train_iter"):
            return {"iteration": self._iter + 1, "mode": "train"}
        return {"iteration": self._iter, "mode": "epoch"}

    def rng_state(self, point: str | None) -> dict[str, RngState | None]:
        """Returns the states of the random generators that a checkpoint saved now contains.

        ``now`` holds the states of this process. Inside a validation these are the states at the beginning of the
        validation, because a resumed run repeats the validation; before a resumed run has begun to train, they are the
        states in its checkpoint. ``pass`` holds the states at the beginning of the pass over the data: a resumed run
        draws the order of the samples again from them, because workers read ahead of training. ``stream`` holds the
        position of a stateful dataloader. ``loader`` holds the states of the dataloader's generators, only between two
        passes.

        Args:
            point: name of the hook point that is being called; None between two points.
        """
        saved_rng = self._rng_to_restore
        if self._val_rng is not None and point != "end_of_validation":
            saved_rng = self._val_rng
        if self.position(point)["batch"]:
            loader = {}
        else:
            loader = {"loader": capture_generators(self.dataloader)}
        if saved_rng is None:
            saved_rng = self._capture()
        return {"now": saved_rng, "pass": self._pass_rng, "stream": self._capture_stream(point), **loader}

    def _capture_stream(self, point: str | None) -> StreamState | None:
        """Returns the position of a training dataloader that has a ``state_dict``; None for other dataloaders.

        Before this process has read training data, the position is the one in the checkpoint of a resumed run. Inside
        an iteration the result is None: the dataloader has already passed the current batch, which a resumed run must
        read again.
        """
        if self._stream_state is not None or not self._has_entered_data():
            return self._stream_state
        if point in (None, "before_train_iter"):
            return None
        begins_pass = self.position(point)["batch"] == 0
        # After the last batch of a pass with limit_batches the dataloader itself is in the middle of its own pass.
        if begins_pass and is_part_of_loader(self.dataloader):
            return None
        return capture_stream(self.dataloader, self._batches_of_pass())

    def _has_entered_data(self) -> bool:
        """Whether this process has begun to read training data.

        A dataloader must not be asked for its position earlier, because the question would start its worker processes.
        """
        return self._pass_rng is not None

    def go_on_from(self, position: dict[str, Any], rng: dict[str, RngState | None] | None) -> None:
        """Sets the counters to the values in a checkpoint.

        Data position and random generators are restored later, when the loop runs.

        Args:
            position: the position in the checkpoint, see :meth:`position`.
            rng: the random states in the checkpoint, see :meth:`rng_state`; None leaves the generators unchanged.
        """
        self._epoch, self._iter = position["epoch"], position["iter"]
        self.validated_iter = position["validated_iter"]
        self.stop_training = position["stop_training"]
        self._start_batch = position["samples"] // self._samples_per_batch()
        if rng is not None:
            self._rng_to_restore, self._pass_rng = rng["now"], rng["pass"]
            self._stream_state = rng.get("stream")
            if tells_other_readers(self.dataloader, position):
                self._stream_state = None
            restore_generators(self.dataloader, rng.get("loader"))
        self._is_due_by_checkpoint = bool(position.get("val_due", False))
        if self._timer is not None:
            self._timer.begin(self._iter, position.get("val_elapsed_s", 0.0))

    def sample_numbers(self, iteration: int | None = None) -> list[int] | None:
        """Returns the dataset indices of the samples in a batch of the current pass, on this rank.

        Args:
            iteration: iteration that trains on the batch, counted from 0; None means the current iteration.

        Returns:
            The indices; None if they cannot be determined: for a stream, a dataloader that is no DataLoader, or a batch
            of an earlier pass over the data.
        """
        return sample_numbers(self, iteration)

    def _samples_per_batch(self) -> int:
        """Returns the number of samples in one batch of all ranks together.

        Positions in checkpoints count samples, so that a run can resume with another batch size or number of ranks.
        """
        return int((batch_size_of(self.dataloader) or 1) * get_data_world_size())

    def forget_pass(self) -> None:
        """Drops the iterator of the current pass; called before the run returns to an earlier checkpoint."""

    def _val_loop(self) -> BaseLoop | None:
        """Returns the run's validation loop with all members of BaseLoop; None for a run without validation."""
        loop = self._runner.val_loop
        if loop is None:
            return None
        return as_base_loop(loop)

    def _finish_validation(self) -> None:
        """Runs the validation that was due, but not completed, when the checkpoint of a resumed run was saved.

        Before the first iteration of a new run, the sanity validation runs instead. Warns about random generators whose
        numbers a resumed run cannot repeat.
        """
        self._try_validation()
        val_loop = self._val_loop()
        if val_loop is not None:
            warn_of_shared_generators(self.dataloader, val_loop.dataloader)
        if self._iter:
            warn_of_worker_generators(self.dataloader)
        inside = self._start_batch > 0
        due = self._iter > 0 and self.validated_iter != self._iter
        if due and not self._is_due_by_checkpoint:
            due = self._validation_is_due_here()
        if inside and not (due and self.validates_inside_pass):
            return
        self._restore_rng()
        if due:
            self._runner.logger.info(
                "The checkpoint was written at iteration %d, before the validation that is due there: validating before "
                "training goes on",
                self._iter,
            )
            self._validate()
        if inside:
            self._rng_to_restore = self._capture()

    def _validation_is_due_here(self) -> bool:
        """Whether a validation is due at the resumed position, inside a pass over the data or between two passes."""
        if self._start_batch > 0:
            return self._is_due_inside_pass()
        return self._validation_is_due()

    def _enter_pass(self) -> Callable[[], None] | None:
        """Prepares the random generators for a pass over the data.

        Returns:
            For a pass that a resumed run enters in the middle, a function that restores the generators; the caller
            calls this function after the order of the samples has been drawn. For a pass that starts at its first
            batch: None or, if the checkpoint holds a dataloader's position, a function that does nothing, because the
            caller restores that position only if it gets a function.
        """
        seed_workers(self.dataloader, self._runner.seed, self._pass_number())
        if self._start_batch == 0:
            self._restore_rng()  # For subclasses that override run() and so do not call _finish_validation().
            self._note_pass_rng()
            if self._stream_state is None:
                return None
            return _nothing
        if self._pass_rng is not None:
            restore_rng(self._pass_rng)
            restore_generators(self.dataloader, self._pass_rng.get("train_loader"))
        return self._restore_rng

    def _take_stream_state(self) -> StreamState | None:
        """Returns the dataloader's position in the checkpoint, and forgets the position: only one pass starts there."""
        state, self._stream_state = self._stream_state, None
        return state

    def _note_pass_rng(self) -> None:
        """Records the states of the random generators from which the order of samples in the new pass is drawn."""
        self._pass_rng = {**capture_rng(), "train_loader": capture_generators(self.dataloader)}

    def _capture(self) -> RngState:
        """Captures the random states of this process, the training dataset and the validation dataloader."""
        return {
            **capture_rng(),
            "dataset": capture_dataset_generators(self.dataloader),
            "val_loader": capture_loop_generators(self._val_loop()),
        }

    def _restore_rng(self) -> None:
        """Restores the random states of a checkpoint once; does nothing in a new run or at a second call."""
        rng, self._rng_to_restore = self._rng_to_restore, None
        if rng is not None:
            restore_rng(rng)
            restore_generators(self.dataloader, rng.get("dataset"))
            restore_loop_generators(self._val_loop(), rng.get("val_loader"))


def _nothing() -> None:
    """Does nothing; used in place of a function that restores random generators if they are already restored."""


def no_batch(dataloader: object) -> str:
    """Returns the error text for a training dataloader without batches."""
    dataset = dataset_of(dataloader)
    if dataset is None:
        return "the training dataloader gives no batch"
    if length_of(dataset) is None:
        return f"the training dataloader gives no batch: its stream ({type(dataset).__name__}) gives no sample"
    dropped = ""
    if drops_last(dataloader):
        dropped = " and drop_last=True"
    return (
        f"the training dataloader gives no batch: its dataset ({type(dataset).__name__}) has {counted(length_of(dataset) or 0, 'sample')}, "
        f"with batch_size={batch_size_of(dataloader)}{dropped}"
    )
