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
        behind = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
        for sampler in (behind, getattr(loader, "sampler", None)):
            tell = getattr(sampler, "set_epoch", None)
            if tell is not None:
                tell(runner.epoch)
                return
