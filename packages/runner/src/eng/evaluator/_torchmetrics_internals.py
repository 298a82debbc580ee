"""All uses of torchmetrics' private names in eng. The names were checked in torchmetrics 1.0 to 1.9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def metrics_in(metric: object) -> list[Any]:
    """Returns a metric of torchmetrics and the metrics inside it; an empty list for a metric of another library."""
    if not isinstance(metric, nn.Module):
        return []
    return [module for module in metric.modules() if hasattr(module, "_reductions")]


def reductions(metric: Any) -> Mapping[str, Any]:
    """Returns for each state of a metric, by name, the function that reduces the state over ranks, or None."""
    table: Mapping[str, Any] = metric._reductions
    return table


def note_update(metric: Any, count: int) -> None:
    """Sets the number of updates of a metric whose states were replaced, and clears its cached result."""
    metric._update_count = count
    metric._computed = None
