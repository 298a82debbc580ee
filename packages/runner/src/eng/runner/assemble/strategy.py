"""How the model lives on its devices: the strategy that a run uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.dist import is_distributed
from eng.registry import STRATEGIES

from ..strategy import BaseStrategy, DDPStrategy, DeepSpeedStrategy, FSDPStrategy, SingleDeviceStrategy
from ..strategy.ddp import wrap


def build_strategy(strategy: Any, work_dir: str, model_wrapper_cfg: Mapping[str, Any] | None = None) -> BaseStrategy:
    """A strategy from its config; None is DDP in a process group and one device outside of any.

    Args:
        strategy: a strategy, its name or its config; None goes by ``model_wrapper_cfg``.
        work_dir: folder of the run.
        model_wrapper_cfg: config of a wrapper; one that shards needs the strategy that knows shards.

    Raises:
        TypeError: ``strategy`` is neither a strategy nor a config nor a name.
    """
    if isinstance(strategy, BaseStrategy):
        return strategy
    if strategy is None and _shards(model_wrapper_cfg) and is_distributed():
        return FSDPStrategy(work_dir=work_dir, model_wrapper=model_wrapper_cfg)
    if strategy is None:
        return DDPStrategy(work_dir=work_dir) if is_distributed() else SingleDeviceStrategy(work_dir=work_dir)
    if isinstance(strategy, str):
        strategy = {"type": strategy}
    if isinstance(strategy, Mapping):
        built: BaseStrategy = STRATEGIES.build(strategy, default_args={"work_dir": work_dir})
        return built
    raise TypeError(f"strategy must be a strategy, a name or a config, got {type(strategy).__name__}")


def place_model(strategy: BaseStrategy, model: nn.Module, model_wrapper_cfg: Mapping[str, Any] | None) -> nn.Module:
    """The model on its device, in the wrapper of ``model_wrapper_cfg`` where there is one and several ranks."""
    own = isinstance(strategy, (FSDPStrategy, DeepSpeedStrategy))
    if model_wrapper_cfg is None or own or not is_distributed():
        return strategy.convert_model(model)
    from eng.device import get_device

    cfg = dict(model_wrapper_cfg)
    sync_bn = cfg.pop("sync_bn", None)
    model = model.to(get_device())
    return wrap(nn.SyncBatchNorm.convert_sync_batchnorm(model) if sync_bn else model, cfg)


def _shards(model_wrapper_cfg: Mapping[str, Any] | None) -> bool:
    kind = (model_wrapper_cfg or {}).get("type")
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return name.rpartition(".")[2] == "MMFullyShardedDataParallel"
