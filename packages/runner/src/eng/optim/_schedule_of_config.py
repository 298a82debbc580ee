"""Compute the learning-rate schedules of a run's config without training, building only the parts that are needed."""

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
    """Returns the learning-rate and momentum schedules that a config gives, by the name of their optimizer.

    If the run has a single optimizer, the optimizer's name is ``""``.

    Args:
        cfg: the config of a run: ``optim_wrapper``, ``param_scheduler``, ``train_cfg`` and, for the length of an epoch,
            ``train_dataloader``.
        build_model: function that builds the model; called only if the parameter groups depend on the model.
        epoch_length: iterations of an epoch. None computes the length from the dataset, if the run or a schedule counts
            epochs.
        world_size: number of ranks of the run; each rank trains on an equal share of the samples of an epoch.

    Raises:
        MissingValueError: the config lacks ``optim_wrapper``, ``train_cfg`` or another key without which there is no
            schedule (a KeyError).
        OptimError: the length of the run is unknown (a ValueError).
    """
    wrapper_cfg = _needed(cfg, "optim_wrapper")
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        wrapper = _build_wrapper(wrapper_cfg, build_model)
        cfg = _set_schedule_units(cfg)
        length, iterations = _run_length(cfg, epoch_length, world_size)
        wrappers = {"": wrapper}
        if isinstance(wrapper, OptimWrapperDict):
            wrappers = dict(wrapper.items())
        previews = {}
        for name, optim_wrapper in wrappers.items():
            accumulated = _accumulated(wrapper_cfg, name)
            previews[name] = _preview(optim_wrapper, _schedulers_of(cfg, name), length, iterations, accumulated)
        return previews


def _build_wrapper(cfg: Mapping[str, Any], build_model: Callable[[], nn.Module]) -> Any:
    """Builds the optimizer wrapper of the config ``optim_wrapper``; with configs by submodule name, one wrapper each.

    If the parameter groups do not depend on the model, the model is not built: a small linear layer gives the
    parameters instead.
    """
    parts = dict(cfg)
    if "optimizer" in cfg or "constructor" in cfg:
        parts = {"": cfg}
    model: nn.Module | None = None
    if any("constructor" in part or part.get("paramwise_cfg") for part in parts.values()):
        model = build_model()
    if "" in parts:
        return build_optim_wrapper(model or nn.Linear(1, 1), cfg)
    wrappers = {}
    for name, part in parts.items():
        module: nn.Module = nn.Linear(1, 1)
        if model is not None:
            module = model.get_submodule(name)
        wrappers[name] = build_optim_wrapper(module, part)
    return OptimWrapperDict(**wrappers)


def _set_schedule_units(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the run's config, in which each schedule that names no unit counts what the training loop counts.

    If the loop counts iterations, ``by_epoch=False`` is added to these schedules, as the Runner does for training. If
    the loop counts epochs, the config is returned unchanged, since a schedule counts epochs by default.
    """
    if _counts_epochs(_needed(cfg, "train_cfg")):
        return cfg

    def set_unit(scheduler: Any) -> Any:
        """Adds ``by_epoch=False`` to a scheduler's config, or to all configs in a list or a dict by optimizer name."""
        if isinstance(scheduler, (list, tuple)):
            return [set_unit(item) for item in scheduler]
        if not isinstance(scheduler, Mapping):
            return scheduler
        if "type" not in scheduler:
            return {name: set_unit(item) for name, item in scheduler.items()}
        if {"by", "by_epoch", "convert_to_iter_based"} & set(scheduler):
            return scheduler
        return {**scheduler, "by_epoch": False}

    return {**cfg, "param_scheduler": set_unit(cfg.get("param_scheduler"))}


def _counts_epochs(train_cfg: Mapping[str, Any]) -> bool:
    return bool(train_cfg.get("by_epoch", "max_iters" not in train_cfg) or "max_epochs" in train_cfg)


def _preview(
    wrapper: Any, schedulers: list[Any], epoch_length: int | None, max_iters: int, accumulated: int
) -> Preview:
    """Builds the schedulers of one optimizer and records the optimizer's learning rates and momenta over the run."""
    ends: dict[str, int | None] = {"epoch": None, "iter": max_iters, "update": math.ceil(max_iters / accumulated)}
    if epoch_length:
        ends["epoch"] = math.ceil(max_iters / epoch_length)
    built = [_build(scheduler, wrapper, epoch_length, ends) for scheduler in schedulers]
    seen = preview(wrapper, built, max_iters=max_iters, epoch_length=epoch_length, accumulative_counts=accumulated)
    seen.labels = _labels(wrapper)
    return seen


def _labels(wrapper: Any) -> list[str]:
    """Returns a label for each parameter group of an optimizer, or an empty list for a single group.

    The label is the class name of the group's optimizer in a :class:`SplitOptimizer`, and the names of the group's
    parameters in any other optimizer.
    """
    optimizer = wrapper.optimizer
    if isinstance(optimizer, SplitOptimizer):
        return optimizer.group_labels()
    names = [name for name, _ in wrapper.named_parameters()]
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    if len(sizes) <= 1:
        return []
    ends = list(itertools.accumulate(sizes))
    return [", ".join(names[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def _build(scheduler: Mapping[str, Any], wrapper: Any, epoch_length: int | None, ends: Mapping[str, int | None]) -> Any:
    """Builds a scheduler from its config.

    A config without ``end`` gets the end of the run, which ``ends`` has for each unit (epoch, iteration, update).
    """
    settings = copy.deepcopy(dict(scheduler))
    unit = settings.get("by")
    if not unit:
        unit = "epoch" if settings.get("by_epoch", True) else "iter"
    if ends.get(unit) is not None:
        settings.setdefault("end", ends[unit])
    return PARAM_SCHEDULERS.build(settings, default_args={"optimizer": wrapper, "epoch_length": epoch_length})


def _schedulers_of(cfg: Mapping[str, Any], name: str) -> list[Any]:
    """Returns the scheduler configs of the optimizer ``name`` as a list; the list is empty without schedulers."""
    schedulers = cfg.get("param_scheduler") or []
    if isinstance(schedulers, Mapping) and "type" not in schedulers:
        schedulers = schedulers.get(name, [])
    if not isinstance(schedulers, (list, tuple)):
        schedulers = [schedulers]
    for scheduler in schedulers:
        if not isinstance(scheduler, Mapping):
            raise OptimTypeError(f"param_scheduler: a schedule is a config with a type, got {scheduler!r}")
    return list(schedulers)


def _accumulated(wrapper_cfg: Mapping[str, Any], name: str) -> int:
    settings = wrapper_cfg.get(name)
    if not name or not isinstance(settings, Mapping):
        settings = wrapper_cfg
    return int(settings.get("accumulative_counts", 1))


def _run_length(cfg: Mapping[str, Any], epoch_length: int | None, world_size: int) -> tuple[int | None, int]:
    """Returns the number of iterations of an epoch, and the number of iterations of the complete run.

    The first number is None if it is not given and neither the run nor a schedule counts epochs.
    """
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
    if isinstance(schedulers, Mapping) and "type" not in schedulers:
        return list(schedulers)
    return [""]


def _ask_dataset(dataloader: Any, world_size: int) -> int:
    """Returns the number of iterations of an epoch on one rank.

    The number is computed from the length of the dataset that the dataloader's config describes. A ``dataloader`` that
    is no config, such as a list of batches, has one iteration per item.
    """
    try:
        if not isinstance(dataloader, Mapping):
            return len(dataloader)
        dataset: Any = dataloader.get("dataset")
        if isinstance(dataset, Mapping):
            dataset = DATASETS.build(dataset)
        samples = len(dataset)
    except (OSError, TypeError) as error:
        raise OptimError(
            f"the length of an epoch is unknown, as the training dataset cannot be opened ({error}); give --epoch-length"
        ) from error
    batch_size = int(dataloader.get("batch_size", 1))
    per_rank = math.ceil(samples / world_size)
    if dataloader.get("drop_last", False):
        return max(1, per_rank // batch_size)
    return max(1, math.ceil(per_rank / batch_size))


def _needed(cfg: Mapping[str, Any], key: str, prefix: str = "") -> Any:
    if cfg.get(key) is None:
        raise MissingValueError(f"the config has no {prefix}{key}, so there is no run to show")
    return cfg[key]
