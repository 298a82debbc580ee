"""DistSamplerSeedHook: a new shuffle in every epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eng.registry import HOOKS

from .hook import Hook

if TYPE_CHECKING:
    from eng.runner.view import RunnerView


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Tells the sampler, or the one behind a batch sampler, the epoch before it is iterated."""

    priority = "NORMAL"

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Calls ``set_epoch(runner.epoch)`` on the training sampler where it has one."""
        loader = runner.train_dataloader
        sampler = getattr(loader, "sampler", None)
        if not hasattr(sampler, "set_epoch"):
            sampler = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(runner.epoch)
