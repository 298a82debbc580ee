"""Switches optimizers that train with other weights than they evaluate with, such as those of the package schedulefree."""

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

# Key in a parameter's optimizer state: the training weight, while the parameter holds the evaluation weight.
TRAINED = "trained_weight"


def with_modes(optim_wrapper: OptimWrapper) -> list[Any]:
    """Returns the optimizers of a run that have the methods ``train`` and ``eval``; empty before they are built."""
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
    """Whether an optimizer is in training mode; False if neither it nor its parameter groups have ``train_mode``."""
    modes = [group["train_mode"] for group in optimizer.param_groups if "train_mode" in group]
    return any(modes or [getattr(optimizer, "train_mode", False)])


@torch.no_grad()
def switch_to_evaluation(optimizer: Any) -> None:
    """Puts the evaluation weights into the model, and saves the training weights in the optimizer's state.

    The optimizer computes one set of weights from the other, with rounding errors. Saving the training weights makes
    the switch back exact, and a checkpoint that is saved meanwhile contains them for an exact resume. An optimizer that
    is already in evaluation mode keeps the training weights of the earlier call.

    Args:
        optimizer: an optimizer with the methods ``train`` and ``eval``.
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
    """Puts the training weights into the model, exactly as they were before :func:`switch_to_evaluation`.

    Args:
        optimizer: an optimizer with the methods ``train`` and ``eval``.
    """
    optimizer.train()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            value = optimizer.state.get(parameter, {}).pop(TRAINED, None)
            if value is not None:
                parameter.copy_(value)


@contextmanager
def evaluating(optim_wrapper: OptimWrapper) -> Iterator[None]:
    """Puts the evaluation weights into the model inside the ``with`` block, for example to save them."""
    switched = [optimizer for optimizer in with_modes(optim_wrapper) if is_training(optimizer)]
    for optimizer in switched:
        switch_to_evaluation(optimizer)
    try:
        yield
    finally:
        for optimizer in switched:
            switch_to_training(optimizer)


def follow_modes(runner: FollowsModes) -> None:
    """Adds an OptimizerModesHook to a run whose optimizer has the methods ``train`` and ``eval``.

    A second call adds no second hook.

    Args:
        runner: the run, whose optimizer is built.
    """
    optimizers = with_modes(runner.optim_wrapper)
    if optimizers and not any(isinstance(hook, OptimizerModesHook) for hook in runner.hooks):
        runner.register_hook(OptimizerModesHook(optimizers))


class FollowsModes(Protocol):
    """The members of a Runner that :func:`follow_modes` uses."""

    optim_wrapper: Any
    hooks: list[Hook]

    def register_hook(self, hook: Hook) -> None:
        """Adds a hook."""


class OptimizerModesHook(Hook):
    """Switches optimizers between training and evaluation mode.

    At the beginning of a training or validation, the optimizers are switched before other hooks are called, at the end
    after all hooks were called.

    Args:
        optimizers: optimizers with the methods ``train`` and ``eval``.
    """

    priority = "HIGHEST"

    def __init__(self, optimizers: Sequence[Any]) -> None:
        self.optimizers = optimizers

    def before_train(self, runner: RunnerView) -> None:
        """Puts the training weights into the model."""
        self._train()

    def before_val(self, runner: RunnerView) -> None:
        """Puts the evaluation weights into the model."""
        self._evaluate()

    def after_val(self, runner: RunnerView) -> None:
        """Puts the training weights into the model."""
        runner.after_this_point(self._train)

    def after_train(self, runner: RunnerView) -> None:
        """Puts the evaluation weights into the model."""
        runner.after_this_point(self._evaluate)

    def _train(self) -> None:
        for optimizer in self.optimizers:
            switch_to_training(optimizer)

    def _evaluate(self) -> None:
        for optimizer in self.optimizers:
            switch_to_evaluation(optimizer)
