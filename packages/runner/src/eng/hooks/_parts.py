"""Attaches the clock that measures the parts of a training run (data, forward, hooks, validation) to the run's hooks."""

from __future__ import annotations

from typing import Any

from eng.logging.parts import DATA, FORWARD, HOOKS, VALIDATION, PartClock
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name

__all__ = ["follow_parts"]

# For each point of a run: the part to which the clock adds the time of the hooks that are called at the point, and the
# part to which the clock adds the time after these hooks.
_PARTS = {
    "before_train_epoch": (HOOKS, DATA),
    "before_train_iter": (HOOKS, FORWARD),
    "after_train_iter": (HOOKS, DATA),
    "after_train_epoch": (HOOKS, DATA),
    "before_val": (VALIDATION, VALIDATION),
    "after_val": (VALIDATION, DATA),
    "after_train": (HOOKS, HOOKS),
}


def follow_parts(runner: Any) -> PartClock | None:
    """Returns a new clock that measures the seconds of data, forward, backward, step, hooks and validation of a run.

    The clock is switched by the run's hooks and optimizer wrappers. Returns None for a runner without a ``hook_list``.

    Args:
        runner: the run; a second call for the same run replaces its clock by a new one.
    """
    hooks = getattr(runner, "hook_list", None)
    if hooks is None:
        return None
    times = PartClock()
    hooks.charge(times, _PARTS)
    for wrapper in wrappers_by_name(runner.optim_wrapper).values():
        if hasattr(type(wrapper), "part_clock"):
            wrapper.part_clock = times
    return times
