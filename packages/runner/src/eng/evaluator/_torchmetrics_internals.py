"""All uses of torchmetrics' private names in eng. The names were checked in torchmetrics 1.0 to 1.9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def metrics_in(metric: object) -> list[Any]:
    """Returns a metric of torchmetrics and all metrics that it contains, as a wrapper or a sum of metrics does.

    For a metric of another library the list is empty.
    """
    if not isinstance(metric, nn.Module):
        return []
    return [module for module in metric.modules() if hasattr(module, "_reductions")]


def reductions(metric: Any) -> Mapping[str, Any]:
    """Returns the functions that reduce the states of a torchmetrics metric over ranks (sum, mean, ...), by state name.

    The function of a state is None if the state is not reduced.
    """
    table: Mapping[str, Any] = metric._reductions
    return table


def note_update(metric: Any, count: int) -> None:
    """Sets the update count of a torchmetrics metric whose states were replaced, and clears its cached result.

    Args:
        metric: the metric.
        count: number of ``update`` calls that the new states contain.
    """
    metric._update_count = count
    metric._computed = None
