"""EarlyStoppingHook: ends training when a validation metric no longer improves."""

from __future__ import annotations

import math
from typing import Any

from eng.logging.metric_values import MetricReader
from eng.logging.words import counted
from eng.registry import HOOKS

from ._rules import check_rule, infer_rule, is_better
from .hook import Hook
from .view import RunnerView


@HOOKS.register_module()
class EarlyStoppingHook(Hook):
    """Ends training after ``patience`` consecutive validations in which a metric did not improve.

    Args:
        monitor: name of the metric, such as ``"coco/bbox_mAP"``.
        rule: ``"greater"`` or ``"less"``, the values of the metric that are better; None (default) infers the rule from
            the metric's name.
        min_delta: smallest change that counts as an improvement, in units of the metric. 0.1 by default.
        strict: whether to raise if the metric is missing (True) or to warn once (False, the default).
        check_finite: whether to stop at once when the metric is NaN or infinite. True by default.
        patience: validations without improvement after which training stops. 5 by default.
        stopping_threshold: training stops as soon as the metric is better than this value. None (default) sets no limit.

    Attributes:
        settings_changed: whether the settings of this hook differ between a resumed run and its checkpoint. If this
            hook stopped the saved run and its settings differ now, the resumed run continues training.

    Raises:
        ValueError: ``rule`` is unknown, or cannot be inferred from ``monitor``.

    Example:
        >>> EarlyStoppingHook("accuracy").rule
        'greater'
    """

    priority = "LOWEST"
    needs_validation = True

    def __init__(
        self,
        monitor: str,
        rule: str | None = None,
        min_delta: float = 0.1,
        strict: bool = False,
        check_finite: bool = True,
        patience: int = 5,
        stopping_threshold: float | None = None,
    ) -> None:
        self.monitor = monitor
        if rule:
            self.rule = check_rule(rule)
        else:
            self.rule = infer_rule(monitor)
        if self.rule == "greater":
            self.min_delta = abs(min_delta)
        else:
            self.min_delta = -abs(min_delta)
        self.strict = strict
        self.check_finite = check_finite
        self.patience = patience
        self.stopping_threshold = stopping_threshold
        self.wait_count = 0
        if self.rule == "greater":
            self.best_score = -math.inf
        else:
            self.best_score = math.inf
        self.settings_changed = False
        self._reader = MetricReader(type(self).__name__)

    def after_val_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Compares the metric with its best value so far, and stops the training loop if the metric no longer improves.

        Raises:
            RuntimeError: the metric is missing or None and ``strict`` is set.
            TypeError: the metric is not a single number.
        """
        if self.strict and (metrics or {}).get(self.monitor) is None:
            raise RuntimeError(self._reader.describe_missing(metrics, self.monitor))
        score = self._reader.read(metrics, self.monitor)
        if score is None:
            return
        stop, reason = self._check_stop_condition(score)
        if stop:
            runner.train_loop.stop_training = True
            runner.logger.info("Training stops early: %s", reason)

    def state_dict(self) -> dict[str, Any]:
        """Returns the count of validations without improvement, the best value, and the settings of the hook."""
        return {"wait_count": self.wait_count, "best_score": self.best_score, "settings": self._settings()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the best value of the metric and the count of validations without improvement.

        If the settings of the hook differ from those in the saved run, the count restarts at 0. The best value is
        restored only if the hook monitors the same metric as in the saved run.
        """
        self.settings_changed = state.get("settings", self._settings()) != self._settings()
        if state.get("settings", {}).get("monitor", self.monitor) == self.monitor:
            self.best_score = state["best_score"]
        if self.settings_changed:
            self.wait_count = 0
        else:
            self.wait_count = state["wait_count"]

    def _settings(self) -> dict[str, Any]:
        names = ("monitor", "rule", "min_delta", "check_finite", "patience", "stopping_threshold")
        return {name: getattr(self, name) for name in names}

    def _check_stop_condition(self, current_score: float) -> tuple[bool, str]:
        """Returns whether to stop training, and the reason. Subclasses in other libraries override this method."""
        reason = self._reason_to_stop(current_score)
        return reason is not None, reason or ""

    def _reason_to_stop(self, score: float) -> str | None:
        """Updates the best value and the count of validations without improvement with the score of a validation.

        Returns the reason to stop training, or None to continue.
        """
        if self.check_finite and not math.isfinite(score):
            return f"{self.monitor} is {score}"
        if self.stopping_threshold is not None and is_better(score, self.stopping_threshold, self.rule):
            return f"{self.monitor} = {score} passed the threshold {self.stopping_threshold}"
        if is_better(score - self.min_delta, self.best_score, self.rule):
            self.best_score, self.wait_count = score, 0
            return None
        self.wait_count += 1
        if self.wait_count < self.patience:
            return None
        times = counted(self.wait_count, "validation")
        reason = f"{self.monitor} did not get better than {self.best_score:g} in {times}"
        if is_better(score, self.best_score, self.rule):
            margin = abs(self.min_delta)
            reason += f" by more than min_delta={margin:g}; the last one gave {score:g}"
        return reason
