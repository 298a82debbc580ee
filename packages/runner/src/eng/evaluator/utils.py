"""Look up a metric's value by its full or short name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["get_metric_value"]
from eng.logging.near_names import suggest


def get_metric_value(indicator: str, metrics: Mapping[str, Any]) -> Any:
    """Returns the value of the metric that `indicator` names.

    Args:
        indicator: the full name (``COCO/AP``), or the part after the last slash (``AP``) if only one name ends in it.
        metrics: values of all metrics by name.

    Raises:
        ValueError: no metric has this name, or several do.

    Examples:
        >>> get_metric_value("AP", {"COCO/AP": 0.5, "COCO/AR": 0.6})
        0.5
    """
    if indicator in metrics:
        return metrics[indicator]
    matches = []
    if "/" not in indicator:
        matches = [key for key in metrics if key.rpartition("/")[2] == indicator]
    if len(matches) == 1:
        return metrics[matches[0]]
    if matches:
        raise ValueError(f"{indicator!r} matches multiple metrics: {', '.join(matches)}; give the whole key")
    hint = suggest(indicator, metrics, otherwise="")
    raise ValueError(f"{indicator!r} can not match any metric; there are {', '.join(metrics) or 'none'}{hint}")
