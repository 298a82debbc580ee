"""PreemptionHook: ends a run at a safe point when a signal or a time budget asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from eng.dataset._loader_parts import batch_size_of, dataset_of
from eng.dataset.utils import length_of
from eng.dist import barrier, get_rank, get_world_size
from eng.registry import HOOKS

from ._loops import batches_into_epoch
from .errors import RunInterrupted
from .hook import DataBatch, Hook
from .preemption import Preemption
from .requeue import requeue_job
from .view import RunnerView, saver_of


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Ends a run after an iteration if a signal arrived or the time budget is over; a training run saves its state first.

    The state is saved after all hooks of the iteration have been called, whatever their priorities. The hook is a context
    manager: the Runner enters it for the duration of ``train()``, ``val()`` or ``test()``, and signals are recorded only
    during that time.

    Args:
        requeue: whether to ask Slurm to run the job again after the state is saved (``scontrol requeue``), unless Ctrl-C
            ended the run. False by default. A job that the user or Slurm itself requeues also resumes from its newest
            checkpoint.
        **options: options of :class:`~eng.hooks.preemption.Preemption`, such as ``time_budget_s=3600``.

    Attributes:
        preemption: the record of signals and the time budget.

    Example:
        >>> PreemptionHook(signals=("SIGTERM",)).preemption.reason is None
        True
    """

    priority = "LOWEST"

    def __init__(self, *, requeue: bool = False, **options: Any) -> None:
        self.requeue = requeue
        self.preemption = Preemption(**options)
        self._ranks = 1
        self._has_trained = False

    def __enter__(self) -> PreemptionHook:
        self.preemption.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.preemption.uninstall()

    def before_run(self, runner: RunnerView) -> None:
        """Stores the number of ranks, because several ranks must end the run after the same iteration."""
        self._ranks = get_world_size()

    def before_train(self, runner: RunnerView) -> None:
        """Records that the run trains: from now on a checkpoint is saved when the run is stopped."""
        self._has_trained = True

    def _after_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        """Ends the run after the other hooks of this iteration, if a signal arrived or the time budget is over."""
        if self._ranks > 1 and not self._all_ranks_pass(runner, batch_idx, mode):
            return
        reason = self.preemption.poll(batch_idx, self._ranks)
        if reason is not None:
            runner.after_this_point(partial(self._stop, runner, reason, mode))

    def _stop(self, runner: RunnerView, reason: str, mode: str) -> None:
        """Saves the state of a training run, requeues the Slurm job if the user asked for it, and ends the run.

        Raises:
            RunInterrupted: always.
        """
        done = runner.iter + (mode == "train")
        saver = saver_of(runner.hooks)
        path = None
        if saver is not None and self._has_trained:
            path = saver.save_now(runner, f"interrupted_iter_{done}.pth")
        position = f"epoch {runner.epoch + 1}, iteration {done}"
        if mode == "val":
            position = validation_position(runner)
        # Without a checkpoint a requeued job would start from the beginning each time and never finish, so it is not
        # requeued.
        if self.requeue and path is not None and reason != "SIGINT":
            # Slurm kills the job as soon as the job is requeued, so wait until all ranks have written their files.
            barrier()
            if get_rank() == 0:
                requeue_job()
        raise RunInterrupted(reason, self.preemption.exit_code, path, position, done)

    def _all_ranks_pass(self, runner: RunnerView, batch_idx: int, mode: str) -> bool:
        """Whether every rank has a batch ``batch_idx``, so that all ranks can make a collective call after the batch.

        In a validation or test some ranks may have one batch less than the other ranks.
        """
        if mode == "train":
            return True
        if mode == "val":
            loader = runner.val_dataloader
        else:
            loader = runner.test_dataloader
        samples = length_of(dataset_of(loader))
        if samples is None:
            # A dataset without a length may end after a different number of batches on each rank, so the ranks cannot
            # agree after a batch.
            return False
        return batch_idx < samples // (self._ranks * (batch_size_of(loader) or 1))


def validation_position(runner: Any) -> str:
    """Describes the validation that is running, such as ``the validation after epoch 3, iteration 300``.

    Args:
        runner: the run.
    """
    epoch = f"after epoch {runner.epoch},"
    if batches_into_epoch(runner):
        epoch = f"in epoch {runner.epoch + 1}, after"
    return f"the validation {epoch} iteration {runner.iter}"


def preemption_of(hooks: Sequence[object]) -> Preemption | None:
    """Returns the record of signals of the run's PreemptionHook; None if the run has no such hook."""
    return next((hook.preemption for hook in hooks if isinstance(hook, PreemptionHook)), None)
