"""From the live parts of a run to plain data that a safe loader reads back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eng.dataset._loader_parts import sampler_of
from eng.dist import all_gather_object, get_data_world_size, get_ranks_per_share, get_world_size
from eng.optim import OptimWrapper
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name
from eng.optim.scheduler import _ParamScheduler
from eng.runner.loops.base import BaseLoop
from eng.runner.strategy.base import BaseStrategy

FORMAT = 1
Schedulers = list[_ParamScheduler] | dict[str, list[_ParamScheduler]]


def collect_run_state(
    train_loop: BaseLoop, accumulation: object, hooks: Sequence[Any], point: str | None, seed: int | None
) -> dict[str, Any]:
    """What a run needs, beside weights, optimizers and schedulers, to go on as if it had not stopped.

    Args:
        train_loop: the training loop, with its counters and place in the data.
        accumulation: the accumulation window, which may be open.
        hooks: the hooks; those with a ``state_dict`` are asked for it.
        point: the hook point that is being called, None between points.
        seed: seed of the run.

    Returns:
        ``format``, ``position``, ``rng`` (one entry per share of the data, which is a rank unless the model is split), ``accumulation``, ``hooks`` and ``seed``.
    """
    return {
        "format": FORMAT,
        "seed": seed,
        "world_size": get_data_world_size(),
        "position": train_loop.position(point),
        "rng": _of_every_rank(train_loop.rng_state(point)),
        "accumulation": accumulation,
        "hooks": hook_states(hooks),
        "sampler": sampler_state(train_loop.dataloader),
    }


def hook_states(hooks: Sequence[Any]) -> dict[str, Any]:
    """The states of hooks that have one, by class name and number among hooks of that class."""
    states = {name: hook.state_dict() for name, hook in named_hooks(hooks)}
    return {name: state for name, state in states.items() if state is not None}


def named_hooks(hooks: Sequence[Any]) -> list[tuple[str, Any]]:
    """Hooks under names that do not depend on hooks of other classes."""
    seen: dict[str, int] = {}
    named = []
    for hook in hooks:
        class_name = type(hook).__name__
        seen[class_name] = seen.get(class_name, -1) + 1
        named.append((f"{class_name}.{seen[class_name]}", hook))
    return named


def accumulation_state(optim_wrapper: OptimWrapper, strategy: BaseStrategy) -> Any:
    """The open accumulation window of each wrapper; None for a wrapper of another library."""
    if isinstance(optim_wrapper, OptimWrapper):
        return strategy.accumulation_state(optim_wrapper)
    return None


def optimizer_classes(optim_wrapper: OptimWrapper) -> dict[str, str]:
    """The names of the optimizers' classes, by the name of their wrapper."""
    classes = {}
    for name, wrapper in wrappers_by_name(optim_wrapper).items():
        classes[name] = type(getattr(wrapper, "optimizer", wrapper)).__name__
    return classes


def sampler_state(dataloader: object) -> dict[str, Any] | None:
    """The seed that orders the data, where the sampler tells it."""
    seed = getattr(sampler_of(dataloader), "seed", None)
    if isinstance(seed, int):
        return {"seed": seed}
    return None


def scheduler_states(schedulers: Schedulers) -> Any:
    """The states of parameter schedulers: a list, or lists by name."""
    if isinstance(schedulers, Mapping):
        return {name: scheduler_states(group) for name, group in schedulers.items()}
    return [scheduler.state_dict() for scheduler in schedulers or ()]


def _of_every_rank(value: object) -> list[Any]:
    if get_world_size() > 1:
        return all_gather_object(value)[:: get_ranks_per_share()]
    return [value]
