"""Builds optimizer wrappers and parameter schedulers from configs."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from eng.checkpoint.unwrap import model_name, unwrap
from eng.hooks.view import provides
from eng.logging.words import counted
from eng.optim import BaseOptimWrapper, OptimWrapper, OptimWrapperDict
from eng.optim import build_optim_wrapper as construct
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name
from eng.optim.scheduler._groups import follows_metric
from eng.registry import OPTIM_WRAPPERS, PARAM_SCHEDULERS

from ..errors import SettingsError
from ..state.collect import Schedulers
from .idle_schedules import idle_schedules
from .own_copy import own_copy

logger = logging.getLogger(__name__)


class UpdatesParameters(Protocol):
    """The method of an optimizer wrapper, of any class, that a model's ``train_step`` calls."""

    def update_params(self, loss: torch.Tensor) -> None:
        """Runs the backward pass of the loss and the optimizer's step."""


class Steps(Protocol):
    """A parameter scheduler of any library."""

    def step(self) -> None:
        """Sets the scheduled value, such as the learning rate, for the next epoch or iteration."""


class TellsUnit(Protocol):
    """A parameter scheduler that says whether it steps by epoch or by iteration."""

    by_epoch: bool


def build_optim_wrapper(optim_wrapper: object, model: nn.Module) -> Any:
    """Builds an optimizer wrapper from its config; a wrapper is returned unchanged, and an optimizer is wrapped.

    Args:
        optim_wrapper: a wrapper, an optimizer, a config with ``optimizer`` (and ``type``, ``constructor``,
            ``paramwise_cfg`` ...), or a mapping of several of these by name; a config in such a mapping optimizes the
            submodule of the model that has this name.
        model: the model whose parameters are optimized.

    Raises:
        ValueError: the config holds neither an optimizer nor wrappers by name.
        SettingsError: the optimizer has none of the model's parameters.
        TypeError: ``optim_wrapper`` is neither a wrapper, nor an optimizer, nor a config.
    """
    wrapper = _build_unchecked(optim_wrapper, model)
    _check_parameters(wrapper, model)
    if isinstance(wrapper, BaseOptimWrapper):
        # The optimizer's state is saved by parameter name, so that a resume survives added or reordered modules.
        wrapper.name_parameters(model)
    return wrapper


def _build_unchecked(optim_wrapper: object, model: nn.Module) -> Any:
    """Builds the wrapper; the arguments are those of :func:`build_optim_wrapper`."""
    if isinstance(optim_wrapper, (OptimWrapper, OptimWrapperDict)):
        return optim_wrapper
    if isinstance(optim_wrapper, Optimizer):
        return OptimWrapper(optimizer=optim_wrapper)
    if not isinstance(optim_wrapper, Mapping):
        if provides(optim_wrapper, UpdatesParameters):
            return optim_wrapper
        raise TypeError(
            f"optim_wrapper must be an OptimWrapper, an optimizer or a config, got {type(optim_wrapper).__name__}"
        )
    cfg = own_copy(optim_wrapper)
    if isinstance(cfg.get("optimizer"), Optimizer):
        return OPTIM_WRAPPERS.build(cfg, default_args={"type": "OptimWrapper"})
    if cfg.get("optimizer") is not None or "constructor" in cfg:
        return construct(model, copy.deepcopy(cfg))
    if not cfg:
        raise ValueError("optim_wrapper is empty: give dict(optimizer=dict(type='SGD', lr=...))")
    return OptimWrapperDict(**{name: _wrapper_of_part(name, part, cfg, model) for name, part in cfg.items()})


def _wrapper_of_part(name: str, part: object, cfg: Mapping[str, Any], model: nn.Module) -> OptimWrapper:
    """Returns one wrapper of a mapping of several: an OptimWrapper unchanged, or one that is built from a config.

    A wrapper from a config optimizes the submodule of the model whose name is ``name``.

    Raises:
        ValueError: ``part`` is neither an OptimWrapper nor a config; the message says which keys ``optim_wrapper`` may
            have.
    """
    if isinstance(part, OptimWrapper):
        return part
    bare = unwrap(model)
    submodule = None
    if name:
        submodule = dict(bare.named_modules()).get(name)
    if isinstance(part, Mapping) and "optimizer" in part and submodule is not None:
        wrapper: OptimWrapper = build_optim_wrapper(part, submodule)
        return wrapper
    hint = ""
    if {"type", "lr"} & set(cfg) and not isinstance(cfg.get("type"), Mapping):
        hint = f" Did you mean optim_wrapper=dict(optimizer=dict({', '.join(f'{k}={v!r}' for k, v in cfg.items())}))?"
    raise ValueError(
        "optim_wrapper needs an 'optimizer', or a 'constructor' that builds several, or one wrapper for each of several "
        f"submodules by their names. {name!r} is {part!r}, which is no wrapper with an 'optimizer' for a submodule of "
        f"{type(bare).__name__}; it has {[child for child, _ in bare.named_children()]}.{hint}"
    )


def _check_parameters(wrapper: object, model: nn.Module) -> None:
    """Checks that every optimizer has parameters of the model.

    Raises:
        SettingsError: an optimizer has parameters and none of them belongs to the model.
    """
    mine = {id(parameter) for parameter in model.parameters()}
    for name, part in wrappers_by_name(wrapper).items():
        if not isinstance(part, BaseOptimWrapper) or part.has_flat_parameters:
            continue
        parameters = [parameter for group in part.optimizer.param_groups for parameter in group["params"]]
        if parameters and mine.isdisjoint(map(id, parameters)):
            where = "optim_wrapper"
            if name:
                where = f"optim_wrapper[{name!r}]"
            raise SettingsError(
                f"{where} has {counted(len(parameters), 'parameter')} and none of them is in the model ({model_name(model)}), so "
                "nothing would be trained. Was it made for another model, or before this one was copied or sharded? A "
                "config, dict(optimizer=dict(type=...)), is built for the model of the run"
            )


def build_param_schedulers(
    schedulers: object,
    optim_wrapper: OptimWrapper,
    *,
    epoch_length: int | None,
    max_epochs: int,
    max_iters: int,
    by_epoch: bool = True,
) -> Schedulers:
    """Builds parameter schedulers from configs: a list, or lists by name if there are several optimizers.

    Args:
        schedulers: a scheduler or a config, a list of them, or one of these per name of ``optim_wrapper``.
        optim_wrapper: the wrapper whose learning rates or other hyperparameters the schedulers change.
        epoch_length: number of iterations in an epoch, for ``convert_to_iter_based=True``.
        max_epochs: epochs of the run: default of ``end`` for schedulers that count epochs.
        max_iters: iterations of the run: default of ``end`` for schedulers that count iterations.
        by_epoch: whether the training loop counts epochs; the default of ``by_epoch`` in each scheduler.

    Raises:
        TypeError: an entry is neither a scheduler nor a config.
    """
    # In an iteration-based run the loop's max_epochs is 1, but schedulers that count epochs count passes over the data.
    if not by_epoch and epoch_length:
        max_epochs = math.ceil(max_iters / epoch_length)
    ends: dict[str, Any] = {
        "epoch_length": epoch_length, "max_epochs": max_epochs, "max_iters": max_iters, "by_epoch": by_epoch,
    }  # fmt: skip
    if not isinstance(optim_wrapper, OptimWrapperDict):
        return _build_list(schedulers, optim_wrapper, **ends)
    by_name = dict.fromkeys(optim_wrapper.keys(), schedulers)
    if isinstance(schedulers, Mapping) and "type" not in schedulers:
        by_name = {name: schedulers[name] for name in by_name if name in schedulers}
    return {name: _build_list(of_one, optim_wrapper[name], **ends) for name, of_one in by_name.items()}


def _build_list(
    schedulers: object,
    optim_wrapper: OptimWrapper,
    *,
    epoch_length: int | None,
    max_epochs: int,
    max_iters: int,
    by_epoch: bool,
) -> list[Any]:
    """Builds and checks the schedulers of one optimizer; warns of schedulers that would change nothing."""
    if not isinstance(schedulers, (list, tuple)):
        schedulers = [schedulers]
    built = []
    for entry in schedulers:
        if isinstance(entry, Mapping):
            cfg = copy.deepcopy(own_copy(entry))
            _refuse_torchs(cfg.get("type"))
            if not by_epoch:
                _count_iterations(cfg)
            if "end" not in cfg and follows_metric(_scheduler_class(cfg.get("type"))):
                # With the length of the run as its end, the schedule would ignore the validation after the last epoch,
                # which matters if the run is resumed with more epochs.
                cfg["end"] = math.inf
            elif "end" not in cfg:
                cfg["end"] = _end_of(cfg, optim_wrapper, max_epochs, max_iters)
            default_args = {"optimizer": optim_wrapper, "epoch_length": epoch_length}
            built.append(_check_scheduler(PARAM_SCHEDULERS.build(cfg, default_args=default_args)))
        else:
            built.append(_check_scheduler(entry))
    for line in idle_schedules(built, max_epochs, max_iters):
        logger.warning("%s", line)
    return built


def _check_scheduler(scheduler: object) -> Any:
    """Returns a scheduler unchanged, after a check that the scheduler has ``step`` and ``by_epoch``.

    Raises:
        TypeError: the object is no scheduler, or a scheduler of torch or another library, which has no ``by_epoch``.
    """
    _refuse_torchs(type(scheduler))
    if isinstance(scheduler, type):
        raise TypeError(f"a parameter scheduler is an object or a config, got {scheduler.__name__}")
    if not provides(scheduler, Steps):
        raise TypeError(f"a parameter scheduler is an object or a config, got {type(scheduler).__name__}")
    if not provides(scheduler, TellsUnit):
        raise _not_of_eng(type(scheduler))
    return scheduler


def _refuse_torchs(scheduler_type: object) -> None:
    """Raises a TypeError for torch's own schedulers, which do not say whether they count epochs or iterations."""
    cls = _scheduler_class(scheduler_type)
    torchs = (torch.optim.lr_scheduler.LRScheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
    if isinstance(cls, type) and issubclass(cls, torchs) and not hasattr(cls, "by_epoch"):
        raise _not_of_eng(cls, f", dict(type={cls.__name__!r}, ...)")


def _scheduler_class(scheduler_type: object) -> object:
    """Returns the class registered under a scheduler's ``type``; a ``type`` that is no text is returned as it is."""
    if isinstance(scheduler_type, str):
        return PARAM_SCHEDULERS.get(scheduler_type)
    return scheduler_type


def _not_of_eng(scheduler_class: type, example: str = "") -> TypeError:
    """Returns the error to raise for a scheduler class of torch or another library, which has no ``by_epoch``."""
    name = f"{scheduler_class.__module__}.{scheduler_class.__name__}"
    return TypeError(
        "param_scheduler takes schedulers of eng.optim, which step by epoch or by iteration as they say, got "
        f"{name}: eng.optim has one of its own for most of torch's names{example}"
    )


def _count_iterations(cfg: MutableMapping[str, Any]) -> None:
    """Sets ``by_epoch=False`` in a scheduler config of an iteration-based run, unless the config has ``by_epoch``.

    A scheduler that counts epochs causes a warning: an iteration-based run has one epoch, so that the scheduler would
    take no step before the end.
    """
    counts_epochs = cfg.get("by", "epoch") == "epoch" and cfg.get("by_epoch", True)
    if cfg.get("convert_to_iter_based") or not counts_epochs or follows_metric(_scheduler_class(cfg.get("type"))):
        return
    if "by_epoch" not in cfg and "by" not in cfg:
        cfg["by_epoch"] = False
        return
    logger.warning(
        "The schedule %s counts epochs, and this run counts iterations: it takes no step before the end. Leave by_epoch "
        "out, or set convert_to_iter_based=True",
        cfg.get("type"),
    )


def _end_of(cfg: Mapping[str, Any], optim_wrapper: OptimWrapper, max_epochs: int, max_iters: int) -> int:
    """Returns the default of a scheduler's ``end``: the length of the run in the unit that the scheduler counts.

    The unit is the epoch, the iteration or, with ``by="update"``, the optimizer update. With gradient accumulation, a
    run has fewer updates than iterations.

    Raises:
        SettingsError: the scheduler does not count epochs, and the run has no known number of iterations.
    """
    unit = "iter"
    if cfg.get("by_epoch", True):
        unit = "epoch"
    unit = cfg.get("by") or unit
    if max_iters == math.inf and (unit != "epoch" or not cfg.get("by_epoch", True)):
        raise SettingsError(
            f"the schedule {cfg.get('type')} counts iterations and ends with the run, whose iterations are not known, as the "
            "training dataloader has no length: give its end=..., or let it count epochs (by_epoch=True)"
        )
    if unit == "update":
        counts = 1
        if isinstance(optim_wrapper, OptimWrapper):
            counts = optim_wrapper.accumulative_counts
        return -(-max_iters // counts)
    if unit == "epoch":
        return max_epochs
    return max_iters


def scale_lr(
    optim_wrapper: OptimWrapper, batch_size: int, world_size: int, auto_scale_lr: Mapping[str, Any] | None
) -> None:
    """Multiplies learning rates by the ratio of the batch size to the base batch size, if ``auto_scale_lr`` is enabled.

    Args:
        optim_wrapper: one optimizer wrapper, or an OptimWrapperDict of several.
        batch_size: number of samples per iteration and rank.
        world_size: number of ranks.
        auto_scale_lr: ``dict(enable=True, base_batch_size=N)``, where N is the batch size of all ranks for which the
            learning rates were tuned; None scales nothing.

    Raises:
        ValueError: scaling is enabled without a positive ``base_batch_size``.

    Source: Goyal et al. 2017, arXiv:1706.02677, section 2.1.
    """
    if not auto_scale_lr or not auto_scale_lr.get("enable", False):
        return
    base = auto_scale_lr.get("base_batch_size")
    if isinstance(base, bool) or not isinstance(base, (int, float)) or base < 1 or base != int(base):
        raise ValueError(f"auto_scale_lr needs a positive 'base_batch_size', got {base!r}")
    factor = batch_size * world_size / base
    logger.info(
        "Learning rates are scaled by %g: %s on %s against %d",
        factor,
        counted(batch_size, "sample"),
        counted(world_size, "rank"),
        base,
    )
    for optimizer in optimizers_of(optim_wrapper):
        for group in optimizer.param_groups:
            group["lr"] *= factor


def optimizers_of(optim_wrapper: OptimWrapper) -> list[Optimizer]:
    """Returns the optimizers of one wrapper, or of all wrappers in an OptimWrapperDict."""
    if isinstance(optim_wrapper, OptimWrapperDict):
        return [optimizer for wrapper in optim_wrapper.values() for optimizer in optimizers_of(wrapper)]
    return [optim_wrapper.optimizer]
