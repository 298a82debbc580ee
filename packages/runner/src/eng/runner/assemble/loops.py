"""Loops from configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eng.registry import LOOPS
from eng.runner.errors import LoopChoiceError, SettingsError
from eng.runner.loops import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, TestLoop, ValLoop

from .own_copy import own_copy


def build_train_loop(loop: Any, runner: Any, dataloader: Any) -> BaseLoop:
    """A training loop from ``train_cfg``.

    Args:
        loop: a loop, or a config with ``type``, or with ``by_epoch`` (True by default) and ``max_epochs`` or
            ``max_iters``.
        runner: the run.
        dataloader: batches to train on, or a config of them.

    Raises:
        LoopChoiceError: both ``type`` and ``by_epoch`` are given (a SettingsError and a RuntimeError).
        SettingsError: nothing says how long to train.
        TypeError: ``loop`` is neither a loop nor a config.
    """
    cfg = _as_cfg(loop, "train_cfg")
    if isinstance(cfg, BaseLoop):
        return cfg
    if "type" in cfg and "by_epoch" in cfg:
        raise LoopChoiceError("train_cfg names both 'type' and 'by_epoch', which choose the loop: give one of them")
    if "type" in cfg:
        built: BaseLoop = LOOPS.build(cfg, default_args={"runner": runner, "dataloader": dataloader})
        return built
    by_epoch = cfg.pop("by_epoch", "max_iters" not in cfg or "max_epochs" in cfg)
    needed = "max_epochs" if by_epoch else "max_iters"
    if needed not in cfg:
        raise SettingsError(f"train_cfg with by_epoch={by_epoch} needs {needed!r}; it has {sorted(cfg)}")
    kind = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
    made: BaseLoop = LOOPS.build(cfg, default_args={"type": kind, "runner": runner, "dataloader": dataloader})
    return made


def build_evaluation_loop(mode: str, loop: Any, runner: Any, dataloader: Any, evaluator: Any) -> BaseLoop:
    """A validation or test loop from ``val_cfg`` or ``test_cfg``.

    Args:
        mode: ``"val"`` or ``"test"``.
        loop: a loop, or a config of one; without ``type`` it is the default loop.
        runner: the run.
        dataloader: batches, or a config of them.
        evaluator: metrics, or configs of them.

    Raises:
        TypeError: ``loop`` is neither a loop nor a config.
    """
    cfg = _as_cfg(loop, f"{mode}_cfg")
    if isinstance(cfg, BaseLoop):
        return cfg
    parts = {"runner": runner, "dataloader": dataloader, "evaluator": evaluator}
    kind = ValLoop if mode == "val" else TestLoop
    built: BaseLoop = LOOPS.build(cfg, default_args={"type": kind, **parts})
    return built


def _as_cfg(loop: Any, name: str) -> Any:
    if isinstance(loop, BaseLoop):
        return loop
    if isinstance(loop, Mapping):
        return own_copy(loop)
    raise TypeError(f"{name} must be a loop or a config of one, got {type(loop).__name__}")
