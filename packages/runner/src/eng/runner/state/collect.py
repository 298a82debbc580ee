"""From the live parts of a run to plain data that a safe loader reads back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eng.dist import all_gather_object, get_data_world_size, get_ranks_per_share, get_world_size
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name
from eng.optim.scheduler import _ParamScheduler

from .progress import position_of, rng_of

FORMAT = 1
Schedulers = list[_ParamScheduler] | dict[str, list[_ParamScheduler]]


def collect_run_state(
    train_loop: Any, accumulation: Any, hooks: Sequence[Any], point: str | None, seed: int | None
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
        "position": position_of(train_loop, point),
        "rng": _of_every_rank(rng_of(train_loop, point)),
        "accumulation": accumulation,
        "hooks": hook_states(hooks),
        "sampler": sampler_state(getattr(train_loop, "dataloader", None)),
    }


def hook_states(hooks: Sequence[Any]) -> dict[str, Any]:
    """The states of hooks that have one, by class name and number among hooks of that class."""
    return {name: hook.state_dict() for name, hook in named_hooks(hooks) if callable(getattr(hook, "state_dict", None))}


def named_hooks(hooks: Sequence[Any]) -> list[tuple[str, Any]]:
    """Hooks under names that do not depend on hooks of other classes."""
    seen: dict[str, int] = {}
    named = []
    for hook in hooks:
        kind = type(hook).__name__
        seen[kind] = seen.get(kind, -1) + 1
        named.append((f"{kind}.{seen[kind]}", hook))
    return named


def accumulation_state(optim_wrapper: Any, strategy: Any) -> Any:
    """The open accumulation window of each wrapper; None where a wrapper does not tell."""
    tells = callable(getattr(optim_wrapper, "accumulation_state", None))
    return strategy.accumulation_state(optim_wrapper) if tells else None


def optimizer_classes(optim_wrapper: Any) -> dict[str, str]:
    """The names of the optimizers' classes, by the name of their wrapper."""
    return {name: type(getattr(w, "optimizer", w)).__name__ for name, w in wrappers_by_name(optim_wrapper).items()}


def sampler_state(dataloader: Any) -> dict[str, Any] | None:
    """The seed that orders the data, where the sampler tells it."""
    sampler = getattr(dataloader, "sampler", None)
    seed = getattr(sampler, "seed", None)
    return {"seed": seed} if isinstance(seed, int) else None


def scheduler_states(schedulers: Any) -> Any:
    """The states of parameter schedulers: a list, or lists by name."""
    if isinstance(schedulers, Mapping):
        return {name: scheduler_states(group) for name, group in schedulers.items()}
    return [scheduler.state_dict() for scheduler in schedulers or ()]


def _of_every_rank(value: Any) -> list[Any]:
    return all_gather_object(value)[:: get_ranks_per_share()] if get_world_size() > 1 else [value]
