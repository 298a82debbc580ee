"""IterTimerHook: how long data and iterations take, and when the run will be over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from eng.registry import HOOKS

from .hook import DataBatch, Hook

if TYPE_CHECKING:
    from eng.runner.view import RunnerView

Record = Callable[[float], None]
_PACK_EVERY = 1000  # iterations after which what nobody read is packed


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Records ``data_time`` and ``time`` (seconds per iteration) and the remaining ``eta`` (seconds)."""

    priority = "NORMAL"

    def __init__(self) -> None:
        self.time_sec_tot = 0.0
        self.time_sec_test_val = 0.0
        self.start_iter = 0
        self._last = 0.0
        self._done = 0
        self._left = 0
        self._recorders: dict[str, tuple[Record, Record]] = {}
        self._facts: dict[str, Any] = {}

    def before_train(self, runner: RunnerView) -> None:
        """Starts the clock of the whole training."""
        self.start_iter = runner.iter
        self.time_sec_tot = 0.0
        self._done, self._left = 0, runner.max_iters - runner.iter

    def _before_epoch(self, runner: RunnerView, mode: str = "train") -> None:
        hub = runner.message_hub
        self._recorders[mode] = hub.recorder(f"{mode}/data_time"), hub.recorder(f"{mode}/time")
        self._facts = hub.runtime_info
        if "eta" not in self._facts:
            hub.update_info("eta", 0.0)
        self._last = time.perf_counter()
        if mode != "train":
            self.time_sec_test_val = 0.0

    def _before_iter(
        self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None, mode: str = "train"
    ) -> None:
        self._recorders[mode][0](time.perf_counter() - self._last)

    def _after_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        now = time.perf_counter()
        elapsed = now - self._last
        self._last = now
        hub = runner.message_hub
        self._recorders[mode][1](elapsed)
        if batch_idx % _PACK_EVERY == _PACK_EVERY - 1:
            hub.pack()
        if mode == "train":
            self.time_sec_tot += elapsed
            self._done += 1
            self._left -= 1
            self._facts["eta"] = self.time_sec_tot / self._done * self._left
        else:
            self.time_sec_test_val += elapsed
            left = len(runner.val_dataloader if mode == "val" else runner.test_dataloader) - batch_idx - 1
            hub.update_info("eta", self.time_sec_test_val / (batch_idx + 1) * left)
