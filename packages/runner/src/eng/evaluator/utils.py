"""Finding a metric among those that an evaluation gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["get_metric_value"]
from eng.logging.near_names import suggest


def get_metric_value(indicator: str, metrics: Mapping[str, Any]) -> Any:
    """Value of the metric that `indicator` names.

    Args:
        indicator: the whole key (``COCO/AP``), or the name after the last slash where only one key ends in it.
        metrics: of an evaluation.

    Raises:
        ValueError: no metric has this name, or several do.

    Examples:
        >>> get_metric_value("AP", {"COCO/AP": 0.5, "COCO/AR": 0.6})
        0.5
    """
    if indicator in metrics:
        return metrics[indicator]
    matches = [] if "/" in indicator else [key for key in metrics if key.rpartition("/")[2] == indicator]
    if len(matches) == 1:
        return metrics[matches[0]]
    if matches:
        raise ValueError(f"{indicator!r} matches multiple metrics: {', '.join(matches)}; give the whole key")
    hint = suggest(indicator, metrics, otherwise="")
    raise ValueError(f"{indicator!r} can not match any metric; there are {', '.join(metrics) or 'none'}{hint}")
