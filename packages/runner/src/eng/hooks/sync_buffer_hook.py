"""SyncBuffersHook: the same buffers, such as BatchNorm's statistics, on every rank."""

from __future__ import annotations

from eng.dist import all_reduce_params, is_distributed
from eng.registry import HOOKS

from .hook import Hook
from .view import RunnerView


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Averages the model's buffers over the ranks after each training epoch, or before a validation within one.

    Does nothing outside a process group.
    """

    priority = "NORMAL"

    def __init__(self) -> None:
        self.distributed = is_distributed()
        self.called_in_train = False

    def before_val_epoch(self, runner: RunnerView) -> None:
        """Averages, unless the epoch that just ended did so already."""
        if self.distributed:
            if not self.called_in_train:
                all_reduce_params(runner.model.buffers(), op="mean")
            self.called_in_train = False

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Averages at the end of a training epoch."""
        if self.distributed:
            all_reduce_params(runner.model.buffers(), op="mean")
            self.called_in_train = True
