"""What eng reads and sets of torchmetrics that has no public name. Read from torchmetrics 1.0 to 1.9."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn


def metrics_in(metric: object) -> list[Any]:
    """A metric of torchmetrics and those inside of it; empty for a metric of another library."""
    modules: Iterable[nn.Module] = metric.modules() if isinstance(metric, nn.Module) else ()
    return [module for module in modules if hasattr(module, "_reductions")]


def reductions(metric: Any) -> Mapping[str, Any]:
    """The names of a metric's states, and the function that reduces each over ranks or None."""
    table: Mapping[str, Any] = metric._reductions
    return table


def note_update(metric: Any, count: int) -> None:
    """Notes that the states of a metric are those after `count` updates, so that it forgets what it computed before."""
    metric._update_count = count
    metric._computed = None
