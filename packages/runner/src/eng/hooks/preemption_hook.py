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
    """Asks after each iteration whether the run should end, saves the state of a training run and ends it.

    The state is saved when every hook of the iteration has run, whatever its priority. The Runner enters the hook, which
    is a context manager, for the time of ``train()``, ``val()`` or ``test()``: so long signals are noted.

    Args:
        requeue: ask Slurm to run the job again once the state is saved (``scontrol requeue``), unless Ctrl-C ended the
            run. False by default. A job that Slurm runs again goes on from its newest checkpoint either way.
        **options: of :class:`~eng.hooks.preemption.Preemption`, such as ``time_budget_s=3600``.

    Attributes:
        preemption: notes the signals and the time budget.

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
        """Notes how many ranks have to agree."""
        self._ranks = get_world_size()

    def before_train(self, runner: RunnerView) -> None:
        """Notes that there is a state to save from now on."""
        self._has_trained = True

    def _after_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        if self._ranks > 1 and not self._all_ranks_pass(runner, batch_idx, mode):
            return
        reason = self.preemption.poll(batch_idx, self._ranks)
        if reason is not None:
            runner.after_this_point(partial(self._stop, runner, reason, mode))

    def _stop(self, runner: RunnerView, reason: str, mode: str) -> None:
        """Saves the run and ends it.

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
        # Without a checkpoint the job would begin anew for ever.
        if self.requeue and path is not None and reason != "SIGINT":
            barrier()  # Slurm ends the job at once: other ranks may still be writing
            if get_rank() == 0:
                requeue_job()
        raise RunInterrupted(reason, self.preemption.exit_code, path, position, done)

    def _all_ranks_pass(self, runner: RunnerView, batch_idx: int, mode: str) -> bool:
        """Whether every rank comes to this safe point: an evaluation may be a batch shorter on some."""
        if mode == "train":
            return True
        if mode == "val":
            loader = runner.val_dataloader
        else:
            loader = runner.test_dataloader
        samples = length_of(dataset_of(loader))
        if samples is None:  # a stream may end on any rank
            return False
        return batch_idx < samples // (self._ranks * (batch_size_of(loader) or 1))


def validation_position(runner: Any) -> str:
    """Which validation of a training runs, in words: that after an epoch, or one within it.

    Args:
        runner: the run, or what a hook sees of it.
    """
    epoch = f"after epoch {runner.epoch},"
    if batches_into_epoch(runner):
        epoch = f"in epoch {runner.epoch + 1}, after"
    return f"the validation {epoch} iteration {runner.iter}"


def preemption_of(hooks: Sequence[object]) -> Preemption | None:
    """What notes the signals of a run; None where no PreemptionHook is among its hooks."""
    return next((hook.preemption for hook in hooks if isinstance(hook, PreemptionHook)), None)
