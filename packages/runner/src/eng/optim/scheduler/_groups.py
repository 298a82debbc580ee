"""The schedulers of a run: one list, or, with several optimizers, a list per optimizer name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def groups_of(schedulers: object) -> list[Sequence[Any]]:
    """Returns a list with one sequence of schedulers for each optimizer.

    Args:
        schedulers: a list of schedulers for a single optimizer, a dict of such lists by the name of the optimizer, or
            None if there are no schedulers.

    Examples:
        >>> groups_of({"generator": [1, 2], "critic": [3]}), groups_of([1]), groups_of(None)
        ([[1, 2], [3]], [[1]], [])
    """
    groups = [schedulers]
    if isinstance(schedulers, Mapping):
        groups = list(schedulers.values())
    return [group for group in groups if isinstance(group, (list, tuple))]


def follows_metric(scheduler: object) -> bool:
    """Whether a scheduler (or scheduler class) depends on a metric, so that it steps after each validation."""
    return bool(getattr(scheduler, "need_val_args", False))
