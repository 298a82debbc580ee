"""The hook that records the metric that a sweep optimizes during a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from eng.hooks import Hook

from ._text import near_names
from .errors import MissingMetricError


class ObjectiveHook(Hook):
    """Records the metric that a sweep optimizes after every validation, and ends trainings that a pruner gives up.

    Args:
        metric: name of the metric.
        report: called with the number of the validation (from 1) and the value of the metric; returns True to end the
            training early. With None (default) no training ends early.

    Attributes:
        values: value of the metric in every validation.
        metrics: all metrics of the same validations.
        pruned: whether the training was ended early.
    """

    priority = "LOW"
    needs_validation = True

    def __init__(self, metric: str, report: Callable[[int, float], bool] | None = None) -> None:
        self.metric = metric
        self.values: list[float] = []
        self.metrics: list[dict[str, float]] = []
        self.pruned = False
        self._iterations: list[int] = []
        self._report = report

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Records the metric of a validation, and ends the training if the pruner decides so.

        Raises:
            MissingMetricError: the validation does not compute the metric.
        """
        if (metrics or {}).get(self.metric) is None:
            raise MissingMetricError(
                f"no validation gives the metric {self.metric!r}{near_names(self.metric, metrics or {})}"
            )
        assert metrics is not None
        # A resumed run may repeat the validation after which its checkpoint was written. The value recorded before is
        # then removed, so that the validation counts once.
        if self._iterations and self._iterations[-1] == runner.iter:
            for values in (self.values, self.metrics, self._iterations):
                values.pop()
        self.values.append(float(metrics[self.metric]))
        self.metrics.append({name: float(value) for name, value in metrics.items() if _is_number(value)})
        self._iterations.append(runner.iter)
        if self._report is not None:
            with warnings.catch_warnings():
                # A resumed run repeats validations for which the interrupted run has already reported a value. Optuna
                # warns of the second report, so warnings are ignored here.
                warnings.simplefilter("ignore")
                self.pruned = self._report(len(self.values), self.values[-1])
            if self.pruned:
                runner.train_loop.stop_training = True
                runner.logger.info("Training stops early: the pruner ends it at %s = %s", self.metric, self.values[-1])

    def state_dict(self) -> dict[str, Any]:
        """Returns the metrics recorded so far, so that checkpoints store them and a resumed run keeps them."""
        return {
            "values": self.values, "metrics": self.metrics, "iterations": self._iterations, "pruned": self.pruned,
            "metric": self.metric,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the recorded metrics from a checkpoint, unless they were recorded for another metric."""
        if state["metric"] != self.metric:
            return
        self.values, self.metrics = list(state["values"]), list(state["metrics"])
        self._iterations, self.pruned = list(state["iterations"]), state["pruned"]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
