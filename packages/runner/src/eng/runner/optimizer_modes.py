"""Optimizers whose weights for training and for evaluation differ, such as those of the package schedulefree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch.optim import Optimizer

from eng.hooks import Hook
from eng.hooks.view import RunnerView
from eng.optim import BaseOptimWrapper, OptimWrapper
from eng.optim.optimizer.split_optimizer import SplitOptimizer
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name

# Entry of the state of a parameter: its value for training, while the model has the one for evaluation.
TRAINED = "trained_weight"


def with_modes(optim_wrapper: OptimWrapper) -> list[Any]:
    """The optimizers of a run that have the methods ``train`` and ``eval``; none before they are built."""
    parts: list[object] = []
    for wrapper in wrappers_by_name(optim_wrapper).values():
        if isinstance(wrapper, BaseOptimWrapper) and isinstance(wrapper.optimizer, SplitOptimizer):
            parts += wrapper.optimizer.optimizers
        elif isinstance(wrapper, BaseOptimWrapper):
            parts.append(wrapper.optimizer)
    return [
        part
        for part in parts
        if isinstance(part, Optimizer) and all(callable(getattr(part, name, None)) for name in ("train", "eval"))
    ]


def is_training(optimizer: Optimizer) -> bool:
    """Whether an optimizer with modes is in that of training; False where neither it nor its groups have ``train_mode``."""
    modes = [group["train_mode"] for group in optimizer.param_groups if "train_mode" in group]
    return any(modes or [getattr(optimizer, "train_mode", False)])


@torch.no_grad()
def switch_to_evaluation(optimizer: Any) -> None:
    """Gives the model the weights that are evaluated.

    The optimizer computes one from the other, with rounding, so the weights for training are held in its state. A checkpoint
    that is written now has them too: a run that resumes from it continues with the same bits, wherever it was stopped.

    Args:
        optimizer: has the methods ``train`` and ``eval``.
    """
    trained = {}
    if is_training(optimizer):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        trained = {parameter: parameter.clone() for parameter in parameters if optimizer.state.get(parameter)}
    optimizer.eval()
    for parameter, value in trained.items():
        optimizer.state[parameter][TRAINED] = value


@torch.no_grad()
def switch_to_training(optimizer: Any) -> None:
    """Gives the model the weights that are trained.

    Args:
        optimizer: has the methods ``train`` and ``eval``.
    """
    optimizer.train()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            value = optimizer.state.get(parameter, {}).pop(TRAINED, None)
            if value is not None:
                parameter.copy_(value)


@contextmanager
def evaluating(optim_wrapper: OptimWrapper) -> Iterator[None]:
    """Within it, the model has the weights that are evaluated and saved."""
    switched = [optimizer for optimizer in with_modes(optim_wrapper) if is_training(optimizer)]
    for optimizer in switched:
        switch_to_evaluation(optimizer)
    try:
        yield
    finally:
        for optimizer in switched:
            switch_to_training(optimizer)


def follow_modes(runner: FollowsModes) -> None:
    """Adds the hook that switches the modes, once, where the run has such an optimizer.

    Args:
        runner: the run, whose optimizer is built.
    """
    optimizers = with_modes(runner.optim_wrapper)
    if optimizers and not any(isinstance(hook, OptimizerModesHook) for hook in runner.hooks):
        runner.register_hook(OptimizerModesHook(optimizers))


class FollowsModes(Protocol):
    """A run that takes hooks when its optimizer is built."""

    optim_wrapper: Any
    hooks: list[Hook]

    def register_hook(self, hook: Hook) -> None:
        """Adds a hook."""


class OptimizerModesHook(Hook):
    """Switches the modes around training and validation: before all hooks in front of them, behind all hooks after them.

    Args:
        optimizers: that have the methods ``train`` and ``eval``.
    """

    priority = "HIGHEST"

    def __init__(self, optimizers: Sequence[Any]) -> None:
        self.optimizers = optimizers

    def before_train(self, runner: RunnerView) -> None:
        """Gives the model the weights that are trained."""
        self._train()

    def before_val(self, runner: RunnerView) -> None:
        """Gives the model the weights that are evaluated."""
        self._evaluate()

    def after_val(self, runner: RunnerView) -> None:
        """Gives the model the weights that are trained."""
        runner.after_this_point(self._train)

    def after_train(self, runner: RunnerView) -> None:
        """Gives the model the weights that are evaluated."""
        runner.after_this_point(self._evaluate)

    def _train(self) -> None:
        for optimizer in self.optimizers:
            switch_to_training(optimizer)

    def _evaluate(self) -> None:
        for optimizer in self.optimizers:
            switch_to_evaluation(optimizer)
