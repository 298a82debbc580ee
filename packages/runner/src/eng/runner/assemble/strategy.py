"""Builds the strategy of a run, which places the model on its devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.device import get_device
from eng.dist import is_distributed
from eng.model import MMFullyShardedDataParallel, is_model_wrapper, revert_sync_batchnorm
from eng.registry import MODEL_WRAPPERS, STRATEGIES

from ..settings import RunnerSettings
from ..strategy import BaseStrategy, DDPStrategy, FSDPStrategy, SingleDeviceStrategy
from ..strategy.ddp import synchronised, wrap


def build_strategy(strategy: object, work_dir: str, model_wrapper_cfg: Mapping[str, Any] | None = None) -> BaseStrategy:
    """Builds a strategy from its name or config; a strategy object is returned unchanged.

    Args:
        strategy: a strategy, its name or its config. None chooses SingleDeviceStrategy if there is no process group,
            FSDP2 if ``model_wrapper_cfg`` names a wrapper that shards the model, and otherwise DDP.
        work_dir: work dir of the run.
        model_wrapper_cfg: config of a model wrapper, or None.

    Raises:
        TypeError: ``strategy`` is neither a strategy nor a config nor a name.
    """
    if isinstance(strategy, BaseStrategy):
        return strategy
    if strategy is None and _shards(model_wrapper_cfg) and is_distributed():
        return FSDPStrategy(work_dir=work_dir, model_wrapper=model_wrapper_cfg)
    if strategy is None:
        if is_distributed():
            return DDPStrategy(work_dir=work_dir)
        return SingleDeviceStrategy(work_dir=work_dir)
    if isinstance(strategy, str):
        strategy = {"type": strategy}
    if isinstance(strategy, Mapping):
        built: BaseStrategy = STRATEGIES.build(strategy, default_args={"work_dir": work_dir})
        return built
    raise TypeError(f"strategy must be a strategy, a name or a config, got {type(strategy).__name__}")


def strategy_of(settings: RunnerSettings, work_dir: str, model_wrapper_cfg: Mapping[str, Any] | None) -> BaseStrategy:
    """Builds the strategy of a run, and tells it whether it may initialise the model's weights.

    ``sets_weights`` gets the setting ``init_weights``; ``model_is_given`` is True for a model that the user passed as
    an object, whose weights must not be overwritten.
    """
    strategy = build_strategy(settings.strategy, work_dir, model_wrapper_cfg)
    strategy.sets_weights = settings.init_weights
    strategy.model_is_given = isinstance(settings.model, nn.Module)
    return strategy


def place_model(
    strategy: BaseStrategy,
    model: nn.Module,
    model_wrapper_cfg: Mapping[str, Any] | None,
    cfg: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Moves a model to its device and, with several ranks, wraps it as ``model_wrapper_cfg`` or the strategy says.

    Args:
        strategy: strategy that places the model if ``model_wrapper_cfg`` is None.
        model: the model; a model that is already in a wrapper is returned unchanged.
        model_wrapper_cfg: config of a wrapper; without ``type``, the wrapper is ``MMDistributedDataParallel``.
        cfg: the run's config. ``sync_bn`` (``"torch"`` or ``"mmcv"``) makes BatchNorm compute statistics over all
            ranks; ``find_unused_parameters`` goes to the default wrapper.

    Raises:
        TypeError: the model is wrapped and ``model_wrapper_cfg`` asks for another wrapper.
        ValueError: ``sync_bn`` is unknown.
    """
    if is_model_wrapper(model):
        if model_wrapper_cfg is not None:
            raise TypeError(f"the model is in a {type(model).__name__} already: leave model_wrapper_cfg out")
        return model
    if not is_distributed():
        return strategy.convert_model(revert_sync_batchnorm(model))
    cfg, options = cfg or {}, dict(model_wrapper_cfg or {})
    sync_bn = options.pop("sync_bn", None) or cfg.get("sync_bn")
    model = synchronised(model, "torch" if sync_bn is True else sync_bn)
    if cfg.get("find_unused_parameters") and not options:
        options = {"find_unused_parameters": True}
    if not options or strategy.needs_its_wrapper:
        return strategy.convert_model(model)
    return wrap(model.to(get_device()), options)


def _shards(model_wrapper_cfg: Mapping[str, Any] | None) -> bool:
    """Whether a config names a wrapper that shards the model."""
    wrapper = (model_wrapper_cfg or {}).get("type")
    if isinstance(wrapper, str):
        wrapper = MODEL_WRAPPERS.get(wrapper)
    return isinstance(wrapper, type) and issubclass(wrapper, MMFullyShardedDataParallel)
