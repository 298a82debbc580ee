"""DistSamplerSeedHook: gives each epoch its own shuffling order."""

from __future__ import annotations

from eng.dataset.utils import set_epoch
from eng.registry import HOOKS

from .hook import Hook
from .view import RunnerView


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Gives each training epoch another shuffling order.

    Before each epoch the hook passes the number of the epoch to the sampler, or to an iterable-style dataset.
    """

    priority = "NORMAL"

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Calls ``set_epoch(runner.epoch)`` on the training sampler or the iterable-style dataset, if they have it."""
        set_epoch(runner.train_dataloader, runner.epoch)
