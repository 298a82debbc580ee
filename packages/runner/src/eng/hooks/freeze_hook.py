"""FreezeHook: excludes some parameters of a model from training for a range of epochs or iterations."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from eng.checkpoint.unwrap import name_in_checkpoint, unwrap
from eng.logging.errors import UsageError
from eng.logging.words import counted
from eng.optim.optimizer.wrappers_by_name import wrappers_by_name
from eng.registry import HOOKS

from .hook import DataBatch, Hook
from .view import RunnerView

logger = logging.getLogger(__name__)


class FreezeHook(Hook):
    r"""Freezes the parameters whose names match a pattern, from epoch ``begin`` to epoch ``end``.

    A frozen parameter gets no update, no weight decay and no change of its optimizer state. Only the current epoch (or
    iteration) decides whether a parameter is frozen, so a resumed run freezes the same parameters. The optimizer
    contains all parameters from the beginning; the hook changes their ``requires_grad``, so do not change it yourself.
    Use several hooks to freeze parts of the model for different ranges of epochs.

    Args:
        patterns: regular expressions, matched from the start of a parameter's name: ``"backbone"``, ``r"layers\\.[0-3]\\."``.
        begin: epoch, counted from 0, at whose start the parameters are frozen.
        end: epoch, counted from 0, at whose start training of the parameters begins again; None (default) keeps them
            frozen.
        by_epoch: whether ``begin`` and ``end`` count epochs (True, the default) or iterations (False).
        lr_mult: factor for the learning rates of the parameters when they are trained again; None (default) does not
            change the rates. The factor requires parameter groups of the optimizer that contain no other parameters,
            which any ``paramwise_cfg`` creates.
        norm_eval: whether to keep BatchNorm layers with frozen parameters in evaluation mode, so that their running
            statistics do not change. True by default.

    Raises:
        ValueError: there is no pattern, ``end`` is not after ``begin``, or one of them is negative.
    """

    priority = "VERY_HIGH"

    def __init__(
        self,
        patterns: str | Sequence[str],
        begin: int = 0,
        end: int | None = None,
        by_epoch: bool = True,
        lr_mult: float | None = None,
        norm_eval: bool = True,
    ) -> None:
        if isinstance(patterns, str):
            self.patterns = [patterns]
        else:
            self.patterns = list(patterns)
        if not self.patterns:
            raise UsageError("FreezeHook needs one pattern at least, such as patterns=['backbone']")
        if begin < 0 or (end is not None and end <= begin):
            raise UsageError(f"FreezeHook freezes from begin={begin} to end={end}: end must be behind begin, from 0 on")
        self.begin, self.end, self.by_epoch = begin, end, by_epoch
        self.lr_mult = lr_mult
        self.norm_eval = norm_eval
        self.has_scaled_lr = False
        self._frozen: bool | None = None
        self._model: nn.Module | None = None
        self._parameters: dict[str, nn.Parameter] = {}
        self._norms: list[nn.Module] = []
        self._handles: list[Any] = []

    def before_train(self, runner: RunnerView) -> None:
        """Finds the parameters that match the patterns, and freezes them if training starts within the range.

        Raises:
            ValueError: a pattern matches no parameter, the patterns match all parameters, or ``lr_mult`` is set and a
                parameter group of the optimizer contains both frozen and other parameters.
        """
        self._look_up(runner.model)
        if self.lr_mult is not None and not self.has_scaled_lr:
            self._groups(runner)
        self._follow(runner)

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Freezes or unfreezes the parameters if the range begins or ends with this epoch."""
        self._follow(runner)

    def before_train_iter(self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Freezes or unfreezes the parameters if a range of iterations begins or ends (``by_epoch=False``).

        Also puts frozen BatchNorm layers back into evaluation mode, because ``model.train()`` may have ended it.
        """
        if not self.by_epoch:
            self._follow(runner)
        if self._frozen and self.norm_eval:
            for module in self._norms:
                if module.training:
                    module.eval()

    def after_run(self, runner: RunnerView) -> None:
        """Makes the parameters trainable again, as they were before the run."""
        if self._frozen:
            self._set(runner, frozen=False)

    def state_dict(self) -> dict[str, Any]:
        """Returns whether the learning rates were multiplied by ``lr_mult``; a resumed run must not do so again."""
        return {"has_scaled_lr": self.has_scaled_lr}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores whether the saved run had multiplied the learning rates by ``lr_mult``."""
        self.has_scaled_lr = bool(state_dict["has_scaled_lr"])

    def _look_up(self, model: nn.Module) -> None:
        """Finds the parameters and BatchNorm layers that match the patterns, once per model."""
        bare = unwrap(model)
        if self._model is bare:
            return
        names = {name_in_checkpoint(bare, name): parameter for name, parameter in bare.named_parameters()}
        for pattern in self.patterns:
            if not any(re.match(pattern, name) for name in names):
                first = ", ".join(list(dict.fromkeys(name.partition(".")[0] for name in names))[:8])
                raise UsageError(
                    f"FreezeHook: no parameter's name fits {pattern!r}; the model's names begin with {first}"
                )
        self._parameters = {
            name: parameter
            for name, parameter in names.items()
            if parameter.requires_grad and any(re.match(pattern, name) for pattern in self.patterns)
        }
        if len(self._parameters) == sum(parameter.requires_grad for parameter in names.values()):
            raise UsageError(
                f"FreezeHook: {self.patterns} fit all that is trained ({counted(len(self._parameters), 'parameter')}), so that nothing is left "
                "to train; give patterns of a part of the model"
            )
        mine = {id(parameter) for parameter in self._parameters.values()}
        self._norms = [
            module
            for name, module in bare.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)  # noqa: SLF001  # The base class of all BatchNorm layers.
            and (
                any(id(parameter) in mine for parameter in module.parameters(recurse=False))
                or any(re.match(pattern, f"{name_in_checkpoint(bare, name)}.") for pattern in self.patterns)
            )
        ]
        self._model = bare

    def _follow(self, runner: RunnerView) -> None:
        """Freezes or unfreezes the parameters for the current epoch or iteration.

        When they are unfrozen, their learning rates are multiplied by ``lr_mult``, once per run.
        """
        now = runner.iter
        if self.by_epoch:
            now = runner.epoch
        is_over = self.end is not None and now >= self.end
        frozen = self.begin <= now and not is_over
        is_untouched = self._frozen is None and now < self.begin
        if frozen != self._frozen and not is_untouched:
            self._set(runner, frozen=frozen)
        if is_over and self.lr_mult is not None and not self.has_scaled_lr:
            self._scale_learning_rates(runner)

    def _set(self, runner: RunnerView, *, frozen: bool) -> None:
        """Freezes or unfreezes the parameters by setting their ``requires_grad``.

        DistributedDataParallel needs gradients of all its parameters. Under DistributedDataParallel ``requires_grad``
        therefore stays True, and the gradients of frozen parameters are dropped before each optimizer step instead.
        """
        if self._frozen is not None or frozen:
            state = "trained again"
            if frozen:
                state = "frozen"
            logger.info("FreezeHook: %s of %s %s", counted(len(self._parameters), "parameter"), self.patterns, state)
        self._frozen = frozen
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if frozen and hasattr(runner.model, "no_sync"):
            self._drop_gradients(runner)
        else:
            for parameter in self._parameters.values():
                parameter.requires_grad_(not frozen)
        if frozen:
            for parameter in self._parameters.values():
                parameter.grad = None
        elif runner.model.training:
            for module in self._norms:
                module.train()

    def _drop_gradients(self, runner: RunnerView) -> None:
        """Registers hooks that set the gradients of frozen parameters to 0 and drop them before each optimizer step.

        DistributedDataParallel waits in each backward pass for all parameters that required gradients when it was
        created, so ``requires_grad`` must stay True.
        """
        parameters = list(self._parameters.values())
        self._handles = [parameter.register_hook(torch.zeros_like) for parameter in parameters]

        def drop(*_: Any) -> None:
            for parameter in parameters:
                parameter.grad = None

        for optimizer in _optimizers(runner.optim_wrapper):
            self._handles.append(optimizer.register_step_pre_hook(drop))

    def _groups(self, runner: RunnerView) -> list[dict[str, Any]]:
        """Returns the optimizer's parameter groups that contain frozen parameters.

        A group that also contains other parameters raises UsageError, because its learning rate cannot be scaled.
        """
        mine = {id(parameter) for parameter in self._parameters.values()}
        groups = [group for optimizer in _optimizers(runner.optim_wrapper) for group in optimizer.param_groups]
        touched = [group for group in groups if any(id(parameter) in mine for parameter in group["params"])]
        if any(id(parameter) not in mine for group in touched for parameter in group["params"]):
            raise UsageError(
                f"FreezeHook(lr_mult={self.lr_mult}): parameters of {self.patterns} share a group with others; give them "
                "groups with optim_wrapper=dict(paramwise_cfg=dict(custom_keys={'name': dict(lr_mult=1.0)}), ...)"
            )
        return touched

    def _scale_learning_rates(self, runner: RunnerView) -> None:
        """Multiplies the current and the initial learning rates of the frozen parameters' groups by ``lr_mult``."""
        for group in self._groups(runner):
            for key in ("lr", "initial_lr"):
                if key in group:
                    group[key] *= self.lr_mult
        self.has_scaled_lr = True


def _optimizers(optim_wrapper: Any) -> list[Any]:
    return [wrapper.optimizer for wrapper in wrappers_by_name(optim_wrapper).values()]


# Registered as a fallback: a user's own class with the name FreezeHook replaces this one without an error.
HOOKS.register_fallback("FreezeHook", FreezeHook)
