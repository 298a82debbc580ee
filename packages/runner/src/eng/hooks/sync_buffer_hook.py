"""SyncBuffersHook: averages the model's buffers, such as BatchNorm's running statistics, over all ranks."""

from __future__ import annotations

from eng.dist import all_reduce_params, is_distributed
from eng.registry import HOOKS

from .hook import Hook
from .view import RunnerView


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Averages the model's buffers, such as BatchNorm's running statistics, over all ranks.

    The hook does so after each training epoch, and before a validation inside a training epoch.

    Without a process group the hook does nothing.
    """

    priority = "NORMAL"

    def __init__(self) -> None:
        self.distributed = is_distributed()
        self.called_in_train = False

    def before_val_epoch(self, runner: RunnerView) -> None:
        """Averages the model's buffers over all ranks, unless the end of a training epoch has just averaged them."""
        if self.distributed:
            if not self.called_in_train:
                all_reduce_params(runner.model.buffers(), op="mean")
            self.called_in_train = False

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Averages the model's buffers over all ranks at the end of a training epoch."""
        if self.distributed:
            all_reduce_params(runner.model.buffers(), op="mean")
            self.called_in_train = True
