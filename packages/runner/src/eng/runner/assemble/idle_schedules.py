"""Schedules that change nothing in the run that they are given to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["idle_schedules"]

_ENDLESS = 10**9


def idle_schedules(schedulers: Sequence[Any], max_epochs: int, max_iters: int) -> Iterator[str]:
    """A line for each schedule that has nothing to do before the run ends; one of a single unit warns by itself.

    Args:
        schedulers: built ones, of one optimizer.
        max_epochs: of the run.
        max_iters: of the run.
    """
    for index, scheduler in enumerate(schedulers):
        if not hasattr(scheduler, "begin") or getattr(scheduler, "need_val_args", False):
            continue
        by_epoch = getattr(scheduler, "by_epoch", True)
        length, unit = (max_epochs, "epoch") if by_epoch else (max_iters, "iteration")
        reason = _reason(scheduler, length, unit)
        if reason:
            name = type(scheduler).__name__
            yield f"param_scheduler[{index}]: {name} changes nothing: {reason}. Set other values, or leave it out"


def _reason(scheduler: Any, length: int, unit: str) -> str:
    """Why a schedule changes nothing; empty where it does change something."""
    begin, end = scheduler.begin, min(getattr(scheduler, "end", _ENDLESS), _ENDLESS)
    if begin >= length > 0:
        return f"it begins at {unit} {begin}, and the run has {length}"
    last = min(end, length)
    milestones = getattr(scheduler, "milestones", None)
    if milestones and not any(begin <= milestone < last for milestone in milestones):
        return f"its milestones {sorted(milestones)} are not among {unit}s {begin} to {last}"
    step_size = getattr(scheduler, "step_size", None)
    if step_size is not None and step_size >= last - begin:
        return f"its step_size {step_size:g} is not below the {last - begin} {unit}s that it has"
    return ""
