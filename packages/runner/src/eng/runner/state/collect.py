"""Collects the state of a run as plain data and tensors, which the safe loader of checkpoints reads back."""

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
    """Collects what an exact resume needs beside weights, optimizer and schedulers.

    Args:
        train_loop: the training loop, from which counters, data position and random states are read.
        accumulation: the gradients accumulated since the last update, with their counters.
        hooks: the hooks of the run, whose ``state_dict()`` is called.
        point: name of the hook point that is being called, None between two points.
        seed: seed of the run.

    Returns:
        A dict with ``format``, ``seed``, ``world_size``, ``position``, ``rng``, ``accumulation``, ``hooks`` and
        ``sampler``. ``rng`` is a list with the random states of each data-parallel rank; the ranks of a tensor-parallel
        group read the same data and share one entry.
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
    """Returns the states of those hooks that have a state, by names such as ``EMAHook.0`` (see :func:`named_hooks`)."""
    states = {name: hook.state_dict() for name, hook in named_hooks(hooks)}
    return {name: state for name, state in states.items() if state is not None}


def named_hooks(hooks: Sequence[Any]) -> list[tuple[str, Any]]:
    """Names each hook by its class and its number among the hooks of that class, such as ``EMAHook.0``."""
    seen: dict[str, int] = {}
    named = []
    for hook in hooks:
        class_name = type(hook).__name__
        seen[class_name] = seen.get(class_name, -1) + 1
        named.append((f"{class_name}.{seen[class_name]}", hook))
    return named


def accumulation_state(optim_wrapper: OptimWrapper, strategy: BaseStrategy) -> Any:
    """Returns the gradients accumulated since the last update, with their counters.

    None for an optimizer wrapper that is not eng's.
    """
    if isinstance(optim_wrapper, OptimWrapper):
        return strategy.accumulation_state(optim_wrapper)
    return None


def optimizer_classes(optim_wrapper: OptimWrapper) -> dict[str, str]:
    """Returns the class name of each optimizer by the name of its wrapper; a single wrapper's name is empty."""
    classes = {}
    for name, wrapper in wrappers_by_name(optim_wrapper).items():
        classes[name] = type(getattr(wrapper, "optimizer", wrapper)).__name__
    return classes


def sampler_state(dataloader: object) -> dict[str, Any] | None:
    """Returns ``{"seed": N}`` of a dataloader's sampler; None for a sampler without an integer ``seed``."""
    seed = getattr(sampler_of(dataloader), "seed", None)
    if isinstance(seed, int):
        return {"seed": seed}
    return None


def scheduler_states(schedulers: Schedulers) -> Any:
    """Returns the states of parameter schedulers as a list, or as lists by name."""
    if isinstance(schedulers, Mapping):
        return {name: scheduler_states(group) for name, group in schedulers.items()}
    return [scheduler.state_dict() for scheduler in schedulers or ()]


def _of_every_rank(value: object) -> list[Any]:
    """Gathers the value of each data-parallel rank; of ranks that read the same data, only the first one counts."""
    if get_world_size() > 1:
        return all_gather_object(value)[:: get_ranks_per_share()]
    return [value]
