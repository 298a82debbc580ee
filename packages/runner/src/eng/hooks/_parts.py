"""The clock of a training run: which point begins which part."""

from __future__ import annotations

from typing import Any

from eng.logging.parts import DATA, FORWARD, HOOKS, VALIDATION, PartClock

__all__ = ["follow_parts"]

# At each point: the part that begins ahead of its hooks, and the one behind them.
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
    """Starts a clock that follows a training; None where the runner of a library cannot tell the points.

    Args:
        runner: the run; called again, its clock starts anew.
    """
    hooks = getattr(runner, "hook_list", None)
    if hooks is None:
        return None
    times = PartClock()
    hooks.charge(times, _PARTS)
    for wrapper in getattr(runner.optim_wrapper, "optim_wrappers", {"": runner.optim_wrapper}).values():
        if hasattr(type(wrapper), "part_clock"):
            wrapper.part_clock = times
    return times
