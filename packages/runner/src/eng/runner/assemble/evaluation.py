"""Builds evaluators from configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from eng.evaluator import BaseMetric, Evaluator
from eng.hooks.view import provides
from eng.registry import EVALUATOR


class EvaluatorOfAnyClass(Protocol):
    """The methods of an evaluator that a loop calls; the class need not derive from eng's Evaluator."""

    def process(self, data_samples: object, data_batch: object) -> None:
        """Adds the predictions of a batch to the data from which the metrics are computed."""

    def evaluate(self, size: int) -> dict[str, float]:
        """Computes the metrics over all added batches; `size` is the number of samples in the dataset."""


class MetricOfAnyClass(Protocol):
    """The method of a metric that an evaluator calls; the class need not derive from eng's BaseMetric."""

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Computes the values of the metric by name, from the results of all batches."""


def build_evaluator(evaluator: Any) -> Any:
    """Builds an evaluator from metrics or their configs; an evaluator object is returned unchanged.

    Args:
        evaluator: an evaluator, one metric, a list of metrics, or ``dict(metrics=[...], type="Evaluator")``; metrics
            may be objects or configs.

    Raises:
        TypeError: ``evaluator`` is neither an evaluator, nor a metric, nor a config, nor a list of these.
    """
    if isinstance(evaluator, Mapping):
        if "metrics" in evaluator:
            return EVALUATOR.build({"type": "Evaluator", **evaluator})
        return Evaluator(metrics=evaluator)
    if isinstance(evaluator, (list, tuple)):
        return Evaluator(metrics=list(evaluator))
    if is_evaluator(evaluator) and not isinstance(evaluator, BaseMetric) and not provides(evaluator, MetricOfAnyClass):
        return evaluator
    return Evaluator(metrics=evaluator)


def is_evaluator(value: object) -> bool:
    """Whether an object of any class has the methods of an evaluator that a loop calls."""
    return provides(value, EvaluatorOfAnyClass)
