"""GarbageCollectionHook: runs Python's garbage collection at fixed iterations, the same on all ranks."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Sequence
from typing import Any

from eng.logging.errors import UsageError
from eng.registry import HOOKS

from .hook import DataBatch, Hook
from .view import RunnerView


@HOOKS.register_module()
class GarbageCollectionHook(Hook):
    """Runs Python's garbage collection every ``interval`` training iterations, and never in between.

    Python's automatic collection pauses each rank in a different iteration, and in the next collective operation all
    other ranks wait for the paused rank. With the hook all ranks collect garbage in the same iteration. Objects that
    exist when training begins are excluded from collections (``gc.freeze``). ``env_cfg=dict(gc_interval=N)`` adds the
    hook.

    Args:
        interval: training iterations between two collections.

    Raises:
        UsageError: ``interval`` is not an integer above 0.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int) -> None:
        if not isinstance(interval, int) or isinstance(interval, bool) or interval < 1:
            raise UsageError(f"gc_interval must be a number of iterations above 0, got {interval!r}")
        self.interval = interval
        self._holds_collection = False

    def before_train(self, runner: RunnerView) -> None:
        """Collects all garbage and disables Python's automatic collection, unless the user has already disabled it."""
        if not gc.isenabled() or self._holds_collection:
            return
        gc.collect()
        gc.freeze()
        gc.disable()
        self._holds_collection = True
        if hasattr(os, "register_at_fork"):
            # Python cannot unregister a function for forks. The function has only a weak reference to the hook, so that
            # the hook can be freed after the run.
            method = weakref.WeakMethod(self._enable_in_worker)
            os.register_at_fork(after_in_child=lambda: _call(method))

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | Sequence[Any] | None = None,
    ) -> None:
        """Collects garbage when an interval ends."""
        if self._holds_collection and (runner.iter + 1) % self.interval == 0:
            gc.collect()

    def after_run(self, runner: RunnerView) -> None:
        """Enables automatic collection again, if the hook disabled it."""
        if self._holds_collection:
            self._holds_collection = False
            gc.unfreeze()
            gc.enable()

    def _enable_in_worker(self) -> None:
        # A forked worker of a dataloader runs no training iterations, so it would never collect garbage. Python's
        # automatic collection is therefore enabled in it.
        if self._holds_collection:
            gc.enable()


def _call(method: weakref.WeakMethod[Any]) -> None:
    function = method()
    if function is not None:
        function()
