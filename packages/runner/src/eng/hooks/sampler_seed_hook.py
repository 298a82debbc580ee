"""DistSamplerSeedHook: a new shuffle in every epoch."""

from __future__ import annotations

from eng.dataset.utils import set_epoch
from eng.registry import HOOKS

from .hook import Hook
from .view import RunnerView


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Passes the epoch to the sampler, and to the dataset where it is a stream, before they are iterated."""

    priority = "NORMAL"

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Calls ``set_epoch(runner.epoch)`` on the training sampler, or on the stream, where they have it."""
        set_epoch(runner.train_dataloader, runner.epoch)
