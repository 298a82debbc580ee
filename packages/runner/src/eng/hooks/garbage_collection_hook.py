"""GarbageCollectionHook: Python's garbage collection at fixed iterations."""

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
    """Collects garbage every ``interval`` training iterations, and never in between.

    Automatic collection stops a rank at a moment of its own, and all others wait for it in the next collective; with the hook
    all ranks collect in the same iteration. What exists when training begins is left out of the searches (``gc.freeze``).
    ``env_cfg=dict(gc_interval=N)`` adds the hook.

    Args:
        interval: training iterations from one collection to the next.

    Raises:
        UsageError: ``interval`` is no whole number above 0.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int) -> None:
        if not isinstance(interval, int) or isinstance(interval, bool) or interval < 1:
            raise UsageError(f"gc_interval must be a number of iterations above 0, got {interval!r}")
        self.interval = interval
        self._holds_collection = False

    def before_train(self, runner: RunnerView) -> None:
        """Collects all garbage, and turns automatic collection off where it is on."""
        if not gc.isenabled() or self._holds_collection:
            return
        gc.collect()
        gc.freeze()
        gc.disable()
        self._holds_collection = True
        if hasattr(os, "register_at_fork"):
            method = weakref.WeakMethod(self._enable_in_worker)
            os.register_at_fork(after_in_child=lambda: _call(method))

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | Sequence[Any] | None = None,
    ) -> None:
        """Collects where an interval ends."""
        if self._holds_collection and (runner.iter + 1) % self.interval == 0:
            gc.collect()

    def after_run(self, runner: RunnerView) -> None:
        """Turns automatic collection on again, where the hook turned it off."""
        if self._holds_collection:
            self._holds_collection = False
            gc.unfreeze()
            gc.enable()

    def _enable_in_worker(self) -> None:
        # A loader's worker that is forked has no iterations at which it would collect.
        if self._holds_collection:
            gc.enable()


def _call(method: weakref.WeakMethod[Any]) -> None:
    function = method()
    if function is not None:
        function()
