"""Optimizers whose weights for training and for evaluation differ, such as those of the package schedulefree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

from .state.collect import wrappers_by_name


def with_modes(optim_wrapper: Any) -> list[Any]:
    """The optimizers of a run that have the methods ``train`` and ``eval``; none before they are built."""
    if not hasattr(optim_wrapper, "optimizer") and not hasattr(optim_wrapper, "optim_wrappers"):
        return []
    optimizers = [getattr(wrapper, "optimizer", None) for wrapper in wrappers_by_name(optim_wrapper).values()]
    parts = [part for optimizer in optimizers for part in getattr(optimizer, "optimizers", [optimizer])]
    return [
        part
        for part in parts
        if isinstance(part, Optimizer) and all(callable(getattr(part, name, None)) for name in ("train", "eval"))
    ]


def is_training(optimizer: Any) -> bool:
    """Whether an optimizer with modes is in that of training."""
    return any(group.get("train_mode", False) for group in optimizer.param_groups)


@contextmanager
def evaluating(optim_wrapper: Any) -> Iterator[None]:
    """Within it, the model has the weights that are evaluated and saved."""
    switched = [optimizer for optimizer in with_modes(optim_wrapper) if is_training(optimizer)]
    for optimizer in switched:
        optimizer.eval()
    try:
        yield
    finally:
        for optimizer in switched:
            optimizer.train()


def follow(dispatch: Any, optim_wrapper: Any) -> None:
    """Switches the modes around training and validation.

    Args:
        dispatch: the run's hook points.
        optim_wrapper: built.
    """
    optimizers = with_modes(optim_wrapper)

    def train(*_: Any, **__: Any) -> None:
        for optimizer in optimizers:
            optimizer.train()

    def evaluate(*_: Any, **__: Any) -> None:
        for optimizer in optimizers:
            optimizer.eval()

    if optimizers:
        dispatch.call_first("before_train", train)
        dispatch.call_first("before_val", evaluate)
        dispatch.call_last("after_val", train)
        dispatch.call_last("after_train", evaluate)
