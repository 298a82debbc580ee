"""From a whole config to previews of its schedules, with as little built as that needs."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from eng.registry import DATASETS, PARAM_SCHEDULERS, DefaultScope

from .errors import MissingValueError, OptimError, OptimTypeError
from .optimizer import OptimWrapperDict, SplitOptimizer, build_optim_wrapper
from .scheduler import Preview, preview


def previews_of(
    cfg: Mapping[str, Any],
    build_model: Callable[[], nn.Module],
    *,
    epoch_length: int | None = None,
    world_size: int = 1,
) -> dict[str, Preview]:
    """The preview of each optimizer by name; one optimizer has the name ``""``.

    Args:
        cfg: a whole config: ``optim_wrapper``, ``param_scheduler``, ``train_cfg`` and, for the length of an epoch,
            ``train_dataloader``.
        build_model: builds the model; called only where parameter groups depend on it.
        epoch_length: iterations of an epoch; None asks the dataset where something counts epochs.
        world_size: ranks of the run, which share an epoch.

    Raises:
        MissingValueError: the config lacks a key that this needs (a KeyError).
        OptimError: the length of the run is unknown (a ValueError).
    """
    wrapper_cfg = _needed(cfg, "optim_wrapper")
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        wrapper = _wrapper(wrapper_cfg, build_model)
        cfg = _counting_as_the_run(cfg)
        length, iterations = _run_length(cfg, epoch_length, world_size)
        wrappers = dict(wrapper.items()) if isinstance(wrapper, OptimWrapperDict) else {"": wrapper}
        previews = {}
        for name, optim_wrapper in wrappers.items():
            accumulated = _accumulated(wrapper_cfg, name)
            previews[name] = _preview(optim_wrapper, _schedulers_of(cfg, name), length, iterations, accumulated)
        return previews


def _wrapper(cfg: Mapping[str, Any], build_model: Callable[[], nn.Module]) -> Any:
    """The wrapper of a config, or one for each submodule that a key of it names."""
    parts = {"": cfg} if "optimizer" in cfg or "constructor" in cfg else dict(cfg)
    by_groups = any("constructor" in part or part.get("paramwise_cfg") for part in parts.values())
    model = build_model() if by_groups else None
    if "" in parts:
        return build_optim_wrapper(model or nn.Linear(1, 1), cfg)
    modules = {name: model.get_submodule(name) if model is not None else nn.Linear(1, 1) for name in parts}
    return OptimWrapperDict(**{name: build_optim_wrapper(modules[name], part) for name, part in parts.items()})


def _counting_as_the_run(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config with schedules that say what they count: where they do not, what the run counts, as in training."""
    if _counts_epochs(_needed(cfg, "train_cfg")):
        return cfg

    def telling(scheduler: Any) -> Any:
        if isinstance(scheduler, (list, tuple)):
            return [telling(item) for item in scheduler]
        if isinstance(scheduler, Mapping) and "type" not in scheduler:
            return {name: telling(item) for name, item in scheduler.items()}
        says = not isinstance(scheduler, Mapping) or {"by", "by_epoch", "convert_to_iter_based"} & set(scheduler)
        return scheduler if says else {**scheduler, "by_epoch": False}

    return {**cfg, "param_scheduler": telling(cfg.get("param_scheduler"))}


def _counts_epochs(train_cfg: Mapping[str, Any]) -> bool:
    return bool(train_cfg.get("by_epoch", "max_iters" not in train_cfg) or "max_epochs" in train_cfg)


def _preview(
    wrapper: Any, schedulers: list[Any], epoch_length: int | None, max_iters: int, accumulated: int
) -> Preview:
    """The learning rates of one optimizer over the run."""
    ends = {
        "epoch": math.ceil(max_iters / epoch_length) if epoch_length else None,
        "iter": max_iters,
        "update": math.ceil(max_iters / accumulated),
    }
    built = [_build(scheduler, wrapper, epoch_length, ends) for scheduler in schedulers]
    seen = preview(wrapper, built, max_iters=max_iters, epoch_length=epoch_length, accumulative_counts=accumulated)
    seen.labels = _labels(wrapper)
    return seen


def _labels(wrapper: Any) -> list[str]:
    """For each of several parameter groups the class of its optimizer, where these are several, else its parameters."""
    optimizer = wrapper.optimizer
    if isinstance(optimizer, SplitOptimizer):
        return optimizer.group_labels()
    names = [name for name, _ in wrapper.named_parameters()]
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    ends = list(itertools.accumulate(sizes))
    groups = [names[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    return [", ".join(group) for group in groups] if len(groups) > 1 else []


def _build(scheduler: Mapping[str, Any], wrapper: Any, epoch_length: int | None, ends: Mapping[str, int | None]) -> Any:
    settings = copy.deepcopy(dict(scheduler))
    unit = settings.get("by") or ("epoch" if settings.get("by_epoch", True) else "iter")
    if ends.get(unit) is not None:
        settings.setdefault("end", ends[unit])
    return PARAM_SCHEDULERS.build(settings, default_args={"optimizer": wrapper, "epoch_length": epoch_length})


def _schedulers_of(cfg: Mapping[str, Any], name: str) -> list[Any]:
    schedulers = cfg.get("param_scheduler") or []
    if isinstance(schedulers, Mapping) and "type" not in schedulers:
        schedulers = schedulers.get(name, [])
    schedulers = list(schedulers) if isinstance(schedulers, (list, tuple)) else [schedulers]
    for scheduler in schedulers:
        if not isinstance(scheduler, Mapping):
            raise OptimTypeError(f"param_scheduler: a schedule is a config with a type, got {scheduler!r}")
    return schedulers


def _accumulated(wrapper_cfg: Mapping[str, Any], name: str) -> int:
    settings = wrapper_cfg.get(name) if name else wrapper_cfg
    return int((settings if isinstance(settings, Mapping) else wrapper_cfg).get("accumulative_counts", 1))


def _run_length(cfg: Mapping[str, Any], epoch_length: int | None, world_size: int) -> tuple[int | None, int]:
    """Iterations of an epoch, None where nobody asks, and of the run."""
    train_cfg = _needed(cfg, "train_cfg")
    by_epoch = _counts_epochs(train_cfg)
    counts_epochs = any(
        scheduler.get("by") in (None, "epoch") and scheduler.get("by_epoch", True)
        for name in _names(cfg)
        for scheduler in _schedulers_of(cfg, name)
    )
    if epoch_length is None and (by_epoch or counts_epochs):
        epoch_length = _ask_dataset(_needed(cfg, "train_dataloader"), world_size)
    if not by_epoch:
        return epoch_length, int(_needed(train_cfg, "max_iters", "train_cfg."))
    assert epoch_length is not None
    return epoch_length, int(_needed(train_cfg, "max_epochs", "train_cfg.")) * epoch_length


def _names(cfg: Mapping[str, Any]) -> list[str]:
    schedulers = cfg.get("param_scheduler") or []
    return list(schedulers) if isinstance(schedulers, Mapping) and "type" not in schedulers else [""]


def _ask_dataset(dataloader: Any, world_size: int) -> int:
    """Iterations of an epoch on one rank, from the length of the dataset, or from that of a list of batches."""
    try:
        if not isinstance(dataloader, Mapping):
            return len(dataloader)
        dataset = dataloader.get("dataset")
        samples = len(DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset)  # type: ignore[arg-type]  # the error is told below
    except (OSError, TypeError) as error:
        raise OptimError(
            f"the length of an epoch is unknown, as the training dataset cannot be opened ({error}); give --epoch-length"
        ) from error
    batch_size = int(dataloader.get("batch_size", 1))
    per_rank = math.ceil(samples / world_size)
    drop_last = dataloader.get("drop_last", False)
    return max(1, per_rank // batch_size if drop_last else math.ceil(per_rank / batch_size))


def _needed(cfg: Mapping[str, Any], key: str, prefix: str = "") -> Any:
    if cfg.get(key) is None:
        raise MissingValueError(f"the config has no {prefix}{key}, so there is no run to show")
    return cfg[key]
