"""Evaluators from configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eng.evaluator import BaseMetric, Evaluator
from eng.registry import EVALUATOR


def build_evaluator(evaluator: Any) -> Any:
    """An evaluator from a config of metrics; an evaluator is given back as it is.

    Args:
        evaluator: an evaluator, one metric, a list of metrics, or ``dict(metrics=[...], type="Evaluator")``; metrics
            may be objects or configs.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(evaluator, Mapping):
        if "metrics" in evaluator:
            return EVALUATOR.build({"type": "Evaluator", **evaluator})
        return Evaluator(metrics=evaluator)
    if isinstance(evaluator, (list, tuple)):
        return Evaluator(metrics=list(evaluator))
    if isinstance(evaluator, BaseMetric) or hasattr(evaluator, "compute_metrics"):
        return Evaluator(metrics=evaluator)
    if is_evaluator(evaluator):
        return evaluator
    return Evaluator(metrics=evaluator)


def is_evaluator(value: object) -> bool:
    """Whether an object of any class has the methods of an evaluator that a loop calls."""
    return hasattr(value, "evaluate") and hasattr(value, "process")
