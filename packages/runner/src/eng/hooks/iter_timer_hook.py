"""IterTimerHook: measures the time of data loading and of iterations, and estimates the remaining time of the run."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from eng.logging.history_buffer import PACK_EVERY
from eng.registry import HOOKS

from ._loaders import loader_length
from .hook import DataBatch, Hook
from .view import RunnerView


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Records ``data_time`` and ``time`` (seconds per iteration) and ``eta``, the remaining time of the run (seconds).

    ``data_time`` is the time for which the loop waits for a batch, without the time of any hooks. ``time`` is measured
    from the end of one iteration to the end of the next, including all hooks and excluding a validation in between. The
    values are stored in the message hub.
    """

    priority = "NORMAL"

    def __init__(self) -> None:
        self.time_sec_tot = 0.0
        self.time_sec_test_val = 0.0
        self.start_iter = 0
        self._last = 0.0
        # Seconds that had passed since the last iteration when a validation began; 0 at the beginning of a pass over the
        # data. None if the next iteration follows the last one directly.
        self._passed: float | None = None
        self._passed_in_training = 0.0
        self._done = 0
        self._left: float = 0

    @property
    def t(self) -> float:
        """Time at which the last iteration ended, in seconds since 1970; subclasses read and set this property.

        The hook itself measures with ``time.perf_counter``, because the system clock may be adjusted during a run.
        """
        return time.time() - (time.perf_counter() - self._last)

    @t.setter
    def t(self, now: float) -> None:
        self._last = time.perf_counter() - (time.time() - now)

    def before_train(self, runner: RunnerView) -> None:
        """Starts the measurement for the estimate of the remaining time."""
        self.start_iter = runner.iter
        self.time_sec_tot = 0.0
        self._done, self._left = 0, runner.max_iters - runner.iter

    def _before_epoch(self, runner: RunnerView, mode: str = "train") -> None:
        self._last = time.perf_counter()
        self._passed = 0.0
        if mode != "train":
            self.time_sec_test_val = 0.0

    def before_val(self, runner: RunnerView) -> None:
        """Stores the seconds since the last training iteration, so that the time of the validation can be excluded."""
        hooks = getattr(runner, "hook_list", None)
        if hooks is None:
            began = time.perf_counter()
        else:
            began = hooks.began
        self._passed_in_training = began - self._last

    def after_val(self, runner: RunnerView) -> None:
        """Continues the measurement after a validation, as if the validation had taken no time."""
        self._passed = self._passed_in_training
        self._last = time.perf_counter() - self._passed

    def _before_iter(
        self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None, mode: str = "train"
    ) -> None:
        """Records the seconds for which the loop waited for this batch."""
        hooks = getattr(runner, "hook_list", None)
        if hooks is None:
            # A runner of another library does not tell when its hooks began and ended.
            since, until = self._last, time.perf_counter()
        else:
            since, until = hooks.ended, hooks.began
            if self._passed is not None:
                self._last = since - self._passed
        self._passed = None
        runner.message_hub.recorders[mode + "/data_time"](until - since)

    def _after_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        """Records the seconds of this iteration, and estimates the remaining seconds from the mean so far."""
        now = time.perf_counter()
        elapsed = now - self._last
        self._last = now
        hub = runner.message_hub
        hub.recorders[mode + "/time"](elapsed)
        if batch_idx % PACK_EVERY == PACK_EVERY - 1:
            hub.pack()
        if mode == "train":
            # A hook may have validated inside the hook point that ends this iteration.
            self._passed = None
            self.time_sec_tot += elapsed
            self._done += 1
            self._left -= 1
            if self._left == math.inf:
                # Without a known number of iterations the remaining time cannot be estimated, so no `eta` is stored.
                hub.runtime_info.pop("eta", None)
            else:
                hub.runtime_info["eta"] = self.time_sec_tot / self._done * self._left
        else:
            self.time_sec_test_val += elapsed
            left = max(loader_length(runner, mode) - batch_idx - 1, 0)
            hub.runtime_info["eta"] = self.time_sec_test_val / (batch_idx + 1) * left
