"""The schedulers of a run: a list, or lists by the names of several optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def groups_of(schedulers: object) -> list[Sequence[Any]]:
    """The schedulers of each optimizer.

    Args:
        schedulers: a list, lists by name, or None where there are none.

    Examples:
        >>> groups_of({"generator": [1, 2], "critic": [3]}), groups_of([1]), groups_of(None)
        ([[1, 2], [3]], [[1]], [])
    """
    groups = [schedulers]
    if isinstance(schedulers, Mapping):
        groups = list(schedulers.values())
    return [group for group in groups if isinstance(group, (list, tuple))]


def follows_metric(scheduler: object) -> bool:
    """Whether a scheduler, or a class of one, steps behind each validation, by a metric."""
    return bool(getattr(scheduler, "need_val_args", False))
