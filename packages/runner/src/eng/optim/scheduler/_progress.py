"""Resume a schedule with changed settings: its progress comes from the checkpoint, its settings from the config."""

from __future__ import annotations

import heapq
import inspect
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

# Attributes that scheduler constructors compute from their arguments. They count as settings, so load_progress does not
# restore them.
_DERIVED = frozenset({"by", "total_iters", "turning_points", "cumulative_periods", "min_values"})
_PER_GROUP = ("base_values", "_last_value")


def settings_of(scheduler: Any) -> frozenset[str]:
    """Returns the names of a scheduler's attributes that are settings, such as ``gamma``.

    Settings depend only on the arguments of the constructor. All other attributes are the progress of the schedule.
    """
    names: set[str] = set(_DERIVED)
    for cls in type(scheduler).__mro__:
        if "__init__" in vars(cls) and cls is not object:
            names.update(inspect.signature(vars(cls)["__init__"]).parameters)
    return frozenset(names - {"self", "optimizer", "last_step", "args", "kwargs"})


def load_progress(scheduler: Any, state: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Restores the progress of a scheduler from an earlier run, and keeps the scheduler's present settings.

    Args:
        scheduler: the scheduler, built from the present config.
        state: the scheduler's ``state_dict`` in the earlier run.

    Returns:
        for each constructor argument whose value differs, a pair: the value of the earlier run and the present value.
    """
    settings = settings_of(scheduler)
    attributes = scheduler.__dict__
    for key, value in state.items():
        if key in settings or key == "optimizer" or callable(value):
            continue
        if key in _PER_GROUP and attributes.get(key) and len(attributes[key]) != len(value):
            continue
        if isinstance(attributes.get(key), Counter):
            attributes[key] = Counter(value)
        else:
            attributes[key] = value
    known = sorted((settings - _DERIVED - {"verbose"}).intersection(state, attributes))
    changed = [key for key in known if not _equal(state[key], attributes[key])]
    return {key: (_as_in_config(state[key]), _as_in_config(attributes[key])) for key in changed}


def replay(schedulers: Sequence[Any], iterations: int, epoch_length: float) -> bool:
    """Recomputes the values of scheduled hyperparameters, after the settings of the schedules were changed at a resume.

    The parameter groups get the values that they would have if the run had used the present settings from the start.
    Each value depends on the previous value, so all steps since the start are taken again. A schedule that depends on a
    metric would need all metrics of the past, so a hyperparameter with such a schedule is not changed.

    Args:
        schedulers: all schedulers of one optimizer, whose progress was restored.
        iterations: number of iterations so far.
        epoch_length: number of iterations per epoch so far.

    Returns:
        whether all hyperparameters were recomputed; False if a schedule depends on a metric.
    """
    all_set = True
    for name in dict.fromkeys(scheduler.param_name for scheduler in schedulers):
        of_name = [scheduler for scheduler in schedulers if scheduler.param_name == name]
        if any(getattr(scheduler, "need_val_args", False) for scheduler in of_name):
            all_set = False
            continue
        _replay_parameter(of_name, name, iterations, epoch_length)
    return all_set


def _replay_parameter(schedulers: Sequence[Any], name: str, iterations: int, epoch_length: float) -> None:
    """Takes all steps so far of the schedulers of one hyperparameter again, from its initial value."""
    steps = [scheduler._global_step for scheduler in schedulers]  # noqa: SLF001  # counted by _ParamScheduler
    groups = schedulers[0].optimizer.param_groups
    for group in groups:
        set_value(group, name, group.get(f"initial_{name}", group[name]))
    for scheduler in schedulers:
        scheduler.begin_anew()
    for index in _order_of_steps(schedulers, steps, iterations, epoch_length):
        schedulers[index].step()


def _order_of_steps(schedulers: Sequence[Any], steps: Sequence[int], iterations: int, epoch_length: float) -> list[int]:
    """Returns the order in which several schedulers took their steps, as a list with a scheduler's index for each step.

    ``steps`` has the number of steps of each scheduler. Within an iteration the schedulers that count epochs step last,
    as in training.
    """

    def moments(index: int) -> Any:
        """Yields a sort key for each step of the scheduler ``index``: first the iteration at which it was made."""
        scheduler, count = schedulers[index], steps[index]
        length = {"epoch": epoch_length, "iter": 1.0}.get(scheduler.by) or iterations / max(count, 1)
        return (((number + 1) * length, scheduler.by == "epoch", index) for number in range(count))

    return [index for _, _, index in heapq.merge(*(moments(index) for index in range(len(schedulers))))]


def set_value(group: dict[str, Any], name: str, value: Any) -> None:
    """Sets the hyperparameter ``name`` of a parameter group.

    A tensor is filled in place instead of being replaced, since a compiled optimizer keeps a reference to the tensor.
    """
    if hasattr(group[name], "fill_"):
        group[name].fill_(value)
    else:
        group[name] = value


def _as_in_config(value: Any) -> Any:
    """Returns a setting in the form that configs use: milestones (a Counter) and tuples become lists."""
    if isinstance(value, Counter):
        return sorted(value.elements())
    if isinstance(value, tuple):
        return list(value)
    return value


def _equal(saved: Any, present: Any) -> bool:
    if isinstance(present, Counter):
        return {int(key): count for key, count in dict(saved).items()} == dict(present)
    if isinstance(present, float) and isinstance(saved, (int, float)):
        return math.isclose(saved, present, rel_tol=1e-12)
    return bool(_as_in_config(saved) == _as_in_config(present))
