"""Finds schedulers whose settings change nothing before the run ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from eng.optim.scheduler import MultiStepParamScheduler, StepParamScheduler, _ParamScheduler

__all__ = ["idle_schedules"]

# Largest ``end`` of a schedule, as in eng.optim: it stands for a schedule without an end.
_ENDLESS = 10**9


def idle_schedules(schedulers: Sequence[Any], max_epochs: int, max_iters: int) -> Iterator[str]:
    """Yields the text of a warning for each scheduler that changes no value before the run ends.

    Args:
        schedulers: the built parameter schedulers of one optimizer.
        max_epochs: number of epochs of the run.
        max_iters: number of iterations of the run.
    """
    for index, scheduler in enumerate(schedulers):
        if not isinstance(scheduler, _ParamScheduler) or scheduler.need_val_args:
            continue
        if scheduler.by_epoch:
            length, unit = max_epochs, "epoch"
        else:
            length, unit = max_iters, "iteration"
        reason = _reason(scheduler, length, unit)
        if reason:
            name = type(scheduler).__name__
            yield f"param_scheduler[{index}]: {name} changes nothing: {reason}. Set other values, or leave it out"


def _reason(scheduler: _ParamScheduler, length: int, unit: str) -> str:
    """Returns why a scheduler changes no value during a run; empty if the scheduler changes a value.

    Args:
        scheduler: the scheduler.
        length: length of the run in epochs or iterations, whichever the scheduler counts.
        unit: name of this unit, for the text.
    """
    begin, end = scheduler.begin, min(scheduler.end, _ENDLESS)
    if begin >= length > 0:
        return f"it begins at {unit} {begin}, and the run has {length}"
    last = min(end, length)
    milestones = []
    if isinstance(scheduler, MultiStepParamScheduler):
        milestones = sorted(scheduler.milestones.elements())
    if milestones and not any(begin <= milestone < last for milestone in milestones):
        return f"its milestones {milestones} are not among {unit}s {begin} to {last}"
    if isinstance(scheduler, StepParamScheduler) and scheduler.step_size >= last - begin:
        return f"its step_size {scheduler.step_size:g} is not below the {last - begin} {unit}s that it has"
    return ""
