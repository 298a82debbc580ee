"""ProgressBarHook: on a terminal, a bar with rate and remaining time."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any

from eng.registry import HOOKS

from .hook import DataBatch, Hook

if TYPE_CHECKING:
    from eng.runner.view import RunnerView


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Shows training as a bar below the log lines, where standard output is a terminal; does nothing elsewhere.

    Args:
        refresh_seconds: time between two drawings; between them a step costs one look at the clock.
    """

    priority = "LOWEST"

    def __init__(self, refresh_seconds: float = 0.2) -> None:
        self.refresh_seconds = refresh_seconds
        self._bar: Any = None
        self._next_drawing = 0.0

    def before_train(self, runner: RunnerView) -> None:
        """Opens the bar."""
        if runner.rank != 0 or not sys.stdout.isatty():
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("train"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), transient=True)
        self._bar.start()
        total = runner.max_iters if runner.max_iters != math.inf else None
        self._task = self._bar.add_task("train", total=total, completed=runner.iter, rate="")
        self._started, self._began_at = time.monotonic(), runner.iter

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Moves the bar, when it is time to."""
        if self._bar is None:
            return
        now = time.monotonic()
        if now < self._next_drawing:
            return
        self._next_drawing = now + self.refresh_seconds
        done = runner.iter + 1
        rate = (done - self._began_at) / max(now - self._started, 1e-9)
        self._bar.update(self._task, completed=done, rate=f"{rate:.1f} it/s")

    def after_run(self, runner: RunnerView) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
