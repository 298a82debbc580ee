"""Going on with a schedule: its progress comes from a checkpoint, its settings from the config."""

from __future__ import annotations

import heapq
import inspect
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

# Attributes that follow from the arguments of a scheduler.
_DERIVED = frozenset({"by", "total_iters", "turning_points", "cumulative_periods", "min_values"})
_PER_GROUP = ("base_values", "_last_value")


class Scheduler(Protocol):
    """What is asked of a scheduler here."""

    optimizer: Any
    param_name: str
    by: str
    last_step: int

    def step(self) -> None:
        """Moves the schedule on by one unit: an epoch, an iteration or an update."""


def settings_of(scheduler: Any) -> frozenset[str]:
    """Names of the attributes that follow from a scheduler's arguments; all others are its progress."""
    names: set[str] = set(_DERIVED)
    for cls in type(scheduler).__mro__:
        if "__init__" in vars(cls) and cls is not object:
            names.update(inspect.signature(vars(cls)["__init__"]).parameters)
    return frozenset(names - {"self", "optimizer", "last_step", "args", "kwargs"})


def load_progress(scheduler: Any, state: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Takes over how far an earlier run was, and keeps the scheduler's settings.

    Args:
        scheduler: a scheduler as the config describes it.
        state: what its ``state_dict`` gave in the earlier run.

    Returns:
        The arguments whose values differ, each with the value of the earlier run and the present one.
    """
    settings = settings_of(scheduler)
    attributes = scheduler.__dict__
    for key, value in state.items():
        if key in settings or key == "optimizer" or callable(value):
            continue
        if key in _PER_GROUP and attributes.get(key) and len(attributes[key]) != len(value):
            continue
        attributes[key] = Counter(value) if isinstance(attributes.get(key), Counter) else value
    known = sorted((settings - _DERIVED - {"verbose"}).intersection(state, attributes))
    changed = [key for key in known if not _equal(state[key], attributes[key])]
    return {key: (_shown(state[key]), _shown(attributes[key])) for key in changed}


def replay(schedulers: Sequence[Any], iterations: int, epoch_length: float) -> bool:
    """Puts the values of parameter groups where the schedules' present settings have them after their steps so far.

    Values and progress are followed from the beginning, as each value depends on the one before. A schedule that
    follows a metric cannot be followed without the metrics: the hyperparameter that it moves stays as it is.

    Args:
        schedulers: all schedulers of one optimizer, with their progress.
        iterations: iterations so far.
        epoch_length: iterations of an epoch so far.

    Returns:
        Whether all hyperparameters were moved.
    """
    moved = True
    for name in dict.fromkeys(scheduler.param_name for scheduler in schedulers):
        of_name = [scheduler for scheduler in schedulers if scheduler.param_name == name]
        if any(getattr(scheduler, "need_val_args", False) for scheduler in of_name):
            moved = False
            continue
        _replay(of_name, name, iterations, epoch_length)
    return moved


def _replay(schedulers: Sequence[Any], name: str, iterations: int, epoch_length: float) -> None:
    steps = [scheduler._global_step for scheduler in schedulers]  # noqa: SLF001  # the driver's own count
    groups = schedulers[0].optimizer.param_groups
    for group in groups:
        set_value(group, name, group.get(f"initial_{name}", group[name]))
    for scheduler in schedulers:
        scheduler.begin_anew()
    for index in _order(schedulers, steps, iterations, epoch_length):
        schedulers[index].step()


def _order(schedulers: Sequence[Any], steps: Sequence[int], iterations: int, epoch_length: float) -> list[int]:
    """Which scheduler steps, in the order of the run; within an iteration those that count epochs come last."""

    def moments(index: int) -> Any:
        scheduler, count = schedulers[index], steps[index]
        length = {"epoch": epoch_length, "iter": 1.0}.get(scheduler.by) or iterations / max(count, 1)
        return (((number + 1) * length, scheduler.by == "epoch", index) for number in range(count))

    return [index for _, _, index in heapq.merge(*(moments(index) for index in range(len(schedulers))))]


def set_value(group: dict[str, Any], name: str, value: Any) -> None:
    """Writes a value into a parameter group; a tensor there keeps its identity."""
    if hasattr(group[name], "fill_"):
        group[name].fill_(value)
    else:
        group[name] = value


def _shown(value: Any) -> Any:
    """A setting as a config has it: milestones as a list."""
    if isinstance(value, Counter):
        return sorted(value.elements())
    return list(value) if isinstance(value, tuple) else value


def _equal(saved: Any, present: Any) -> bool:
    if isinstance(present, Counter):
        return {int(key): count for key, count in dict(saved).items()} == dict(present)
    if isinstance(present, float) and isinstance(saved, (int, float)):
        return math.isclose(saved, present, rel_tol=1e-12)
    return bool(_shown(saved) == _shown(present))
