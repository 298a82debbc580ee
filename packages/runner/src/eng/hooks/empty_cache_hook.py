"""EmptyCacheHook: releases cached memory of the accelerator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eng.device import empty_cache
from eng.registry import HOOKS

from .hook import DataBatch, Hook
from .view import RunnerView


@HOOKS.register_module()
class EmptyCacheHook(Hook):
    """Releases the unused accelerator memory that torch's allocator caches, with :func:`eng.device.empty_cache`.

    The hook does nothing if no accelerator was used. A validation and a test count as epochs.

    Args:
        before_epoch: whether to release memory before each epoch. False by default.
        after_epoch: whether to release memory after each epoch. True by default.
        after_iter: whether to release memory after each iteration, which is slow. False by default.
    """

    priority = "NORMAL"

    def __init__(self, before_epoch: bool = False, after_epoch: bool = True, after_iter: bool = False) -> None:
        self._do_before_epoch = before_epoch
        self._do_after_epoch = after_epoch
        self._do_after_iter = after_iter

    def _before_epoch(self, runner: RunnerView, mode: str = "train") -> None:
        if self._do_before_epoch:
            empty_cache()

    def _after_epoch(self, runner: RunnerView, mode: str = "train") -> None:
        if self._do_after_epoch:
            empty_cache()

    def _after_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        """Releases cached memory after an iteration of training, validation or test, with ``after_iter=True``."""
        if self._do_after_iter:
            empty_cache()
