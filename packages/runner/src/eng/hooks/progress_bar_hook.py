"""ProgressBarHook: shows a progress bar with rate, remaining time and loss on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from eng.dataset.utils import length_of
from eng.logging.progress import Bar, open_bar
from eng.registry import HOOKS

from ._loops import current_set
from .hook import DataBatch, Hook
from .view import RunnerView


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Shows progress bars for training, validation and test below the log lines, if standard output is a terminal.

    A run on a terminal has this hook by default; ``default_hooks=dict(progress_bar=None)`` removes it. Without a terminal
    the hook does nothing. If the loss is on an accelerator, the bar shows the loss of the last log line, because reading
    the current loss would make the program wait for the device.

    Args:
        refresh_seconds: seconds between two updates of the bar. In all other iterations the hook only reads the clock.
            0.2 by default.
    """

    priority = "LOWEST"

    def __init__(self, refresh_seconds: float = 0.2) -> None:
        self.refresh_seconds = refresh_seconds
        self._bar: Bar | None = None
        self._evaluation: Bar | None = None
        self._logger_hooks: list[Any] = []

    def before_train(self, runner: RunnerView) -> None:
        """Opens the bar of the training."""
        total = None
        if runner.max_iters != math.inf:
            total = runner.max_iters
        self._bar = open_bar("train", total, runner.iter, refresh_seconds=self.refresh_seconds)
        self._logger_hooks = [hook for hook in getattr(runner, "hooks", ()) if hasattr(hook, "last_loss")]

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Updates the bar if ``refresh_seconds`` have passed since the last update."""
        if self._bar is not None and self._bar.is_due:
            self._bar.update(runner.iter + 1, self._loss(outputs))

    def after_train(self, runner: RunnerView) -> None:
        """Removes the bar of the training."""
        self._close()

    def before_val(self, runner: RunnerView) -> None:
        """Opens the bar of a validation, below the bar of the training."""
        if self._bar is not None:
            self._bar.done = runner.iter
        self._open_evaluation("val", runner.val_dataloader)

    def after_val_iter(
        self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Counts a batch in the bar of the validation."""
        self._move_evaluation(runner, "val")

    def after_val_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Removes the bar of the validation."""
        self._close_evaluation()

    def before_test(self, runner: RunnerView) -> None:
        """Opens the bar of a test."""
        self._open_evaluation("test", runner.test_dataloader)

    def after_test_iter(
        self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Counts a batch in the bar of the test."""
        self._move_evaluation(runner, "test")

    def after_test_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Removes the bar of the test."""
        self._close_evaluation()

    def after_run(self, runner: RunnerView) -> None:
        """Removes the bars that a run left open when it ended early."""
        self._close()

    def _open_evaluation(self, title: str, dataloader: Any) -> None:
        self._close_evaluation()
        self._evaluation = open_bar(title, length_of(dataloader), refresh_seconds=self.refresh_seconds)

    def _move_evaluation(self, runner: RunnerView, mode: str) -> None:
        """Counts an evaluated batch in the bar.

        With several datasets one bar covers all datasets. The bar counts the batches itself, because the ``batch_idx``
        of the loop restarts at 0 for each dataset.
        """
        bar = self._evaluation
        if bar is None:
            return
        if bar.is_due:
            bar.update(bar.done + 1, current_set(runner, mode))
        else:
            bar.done += 1

    def _close_evaluation(self) -> None:
        if self._evaluation is not None:
            self._evaluation.close()
            self._evaluation = None

    def _close(self) -> None:
        self._close_evaluation()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _loss(self, outputs: Any) -> str | None:
        """Returns the text of the current loss if it is on the CPU, otherwise of the loss in the last log line."""
        value = None
        if isinstance(outputs, dict):
            value = outputs.get("loss")
        if isinstance(value, torch.Tensor):
            if value.device.type == "cpu" and value.numel() == 1:
                value = value.item()
            else:
                value = None
        if value is None:
            value = next((hook.last_loss for hook in self._logger_hooks if hook.last_loss is not None), None)
        if isinstance(value, (int, float)):
            return f"loss {value:.4f}"
        return None
