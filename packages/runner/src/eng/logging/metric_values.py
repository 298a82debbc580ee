"""Converts metrics (numbers, tensors or arrays) to Python numbers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from .near_names import suggest

__all__ = ["MetricReader", "as_number"]

_LOGGER = logging.getLogger(__name__)


def as_number(name: str, value: Any) -> int | float:
    """Converts a metric to a Python number.

    Args:
        name: name of the metric, for the error.
        value: a number of Python or numpy, or a tensor or an array with one element.

    Raises:
        TypeError: ``value`` is not a single number; the message has the metric's name and the type.

    Example:
        >>> as_number("acc", np.array([0.5])), as_number("acc", torch.tensor(0.25))
        (0.5, 0.25)
    """
    class_name = type(value).__name__
    shape = tuple(getattr(value, "shape", ()))
    if isinstance(value, torch.Tensor | np.ndarray | np.generic) and int(np.prod(shape)) == 1:
        value = value.item()
    if isinstance(value, int | float):
        return value
    size = ""
    if shape:
        size = f" of shape {shape}"
    raise TypeError(
        f"the metric {name!r} must be one number, got a {class_name}{size}; return a number, or a tensor or an array with "
        "one element, from compute_metrics"
    )


class MetricReader:
    """Reads metrics for a hook or scheduler, and warns once per missing metric.

    Args:
        owner: name of the hook or scheduler, for messages.

    Example:
        >>> MetricReader("EarlyStoppingHook").read({"acc": 0.5}, "acc")
        0.5
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._reported: set[str] = set()

    def read(self, metrics: Mapping[str, Any] | None, name: str) -> int | float | None:
        """Returns a metric as a number; None, with a warning, if the metric is missing or None.

        Raises:
            TypeError: the metric is not a single number.
        """
        value = (metrics or {}).get(name)
        if value is not None:
            return as_number(name, value)
        if name not in self._reported:
            self._reported.add(name)
            _LOGGER.warning("%s", self.describe_missing(metrics, name))
        return None

    def describe_missing(self, metrics: Mapping[str, Any] | None, name: str) -> str:
        """Returns the message that a metric is missing, with the names of the existing metrics."""
        present = list(metrics or {})
        if name in present:
            return f"{self.owner} watches {name!r}, which the validation gave as None: it is skipped"
        hint = suggest(name, present, otherwise="", count=1)
        return f"{self.owner} watches {name!r}, which the validation did not give; it gave {present}{hint}"
