"""EMAHook: maintains an averaged copy of the weights, which is used for validation, test and checkpoints."""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from eng.checkpoint.unwrap import unwrap
from eng.logging.errors import UsageError
from eng.registry import HOOKS, MODELS

from ._batch_norm import spread_batches, update_bn
from .hook import DataBatch, Hook
from .view import RunnerView

logger = logging.getLogger(__name__)


@HOOKS.register_module()
class EMAHook(Hook):
    """Maintains a running average of the weights during training; validation and test use the averaged weights.

    In a checkpoint, ``state_dict`` contains the averaged weights, because inference should use them, and
    ``ema_state_dict`` contains the trained weights and the number of averaging steps. A resume exchanges the two again.

    Args:
        ema_type: name of the averaging model: ``"ExponentialMovingAverage"`` (default), ``"StochasticWeightAverage"``,
            ``"MomentumAnnealingEMA"`` or another class that is registered in ``MODELS``.
        strict_load: whether the keys of the averaged weights in a checkpoint must be exactly those of the model. False
            by default.
        begin_iter: iteration, counted from 1, at which averaging begins. 0 (default) begins with the first iteration.
        begin_epoch: epoch, counted from 1, at which averaging begins. Cannot be combined with ``begin_iter``.
        bn_batches: number of training batches, evenly spread over the dataset, from which the BatchNorm statistics of the
            averaged model are recomputed before it is validated or saved, as ``torch.optim.swa_utils.update_bn`` does.
            0 (default) does not recompute them.
        **kwargs: options of the averaging model, such as ``momentum=0.0002``.

    Raises:
        ValueError: both ``begin_iter`` and ``begin_epoch`` are set, or one is negative.
    """

    priority = "NORMAL"

    def __init__(
        self,
        ema_type: str = "ExponentialMovingAverage",
        strict_load: bool = False,
        begin_iter: int = 0,
        begin_epoch: int = 0,
        bn_batches: int = 0,
        **kwargs: Any,
    ) -> None:
        if begin_iter < 0 or begin_epoch < 0:
            raise UsageError(f"begin_iter ({begin_iter}) and begin_epoch ({begin_epoch}) must not be negative")
        if begin_iter and begin_epoch:
            raise UsageError("set either begin_iter or begin_epoch, not both")
        self.strict_load = strict_load
        self.ema_cfg = dict(type=ema_type, **kwargs)
        self.begin_iter = begin_iter
        self.begin_epoch = begin_epoch
        self.enabled_by_epoch = begin_epoch > 0
        self.bn_batches = bn_batches
        self._swapped = False
        self._stale = False
        self._statistics_at = -1

    def before_run(self, runner: RunnerView) -> None:
        """Builds the averaged copy of the model, unless an earlier run of this model has built the copy.

        A ``test()`` after ``train()`` uses the average from the training.
        """
        model = runner.model
        source: nn.Module = unwrap(model)
        if getattr(self, "src_model", None) is source:
            return
        self.src_model = source
        self.ema_model: Any = MODELS.build(self.ema_cfg, default_args={"model": self.src_model})
        self._swapped = self._stale = False

    def before_train(self, runner: RunnerView) -> None:
        """Checks that averaging begins before training ends.

        Raises:
            ValueError: ``begin_epoch`` or ``begin_iter`` is after the end of training.
        """
        for name, begin, end in (
            ("begin_epoch", self.begin_epoch, runner.max_epochs),
            ("begin_iter", self.begin_iter, runner.max_iters),
        ):
            if begin > end:
                raise UsageError(f"EMAHook's {name} is {begin}, but the run ends at {end}")

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Updates the average with the new weights. Before averaging begins, the average equals the trained weights."""
        if self._ema_started(runner):
            self._catch_up()
            self.ema_model.update_parameters(self.src_model)
        else:
            self._stale = True

    def before_val_epoch(self, runner: RunnerView) -> None:
        """Swaps the averaged weights into the model for the validation."""
        self._update_statistics(runner)
        self._swap_ema_parameters()

    def after_val_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Swaps the trained weights back into the model after the validation."""
        self._swap_ema_parameters()

    def before_test_epoch(self, runner: RunnerView) -> None:
        """Swaps the averaged weights into the model for the test."""
        self._swap_ema_parameters()

    def after_test_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Swaps the trained weights back into the model after the test."""
        self._swap_ema_parameters()

    def after_run(self, runner: RunnerView) -> None:
        """Swaps the trained weights back if a validation or test ended early."""
        if self._swapped:
            self._swap_ema_parameters()

    def before_save_checkpoint(self, runner: RunnerView, checkpoint: dict[str, Any]) -> None:
        """Puts averaged weights into the checkpoint's ``state_dict``, and trained weights into ``ema_state_dict``.

        During a validation the model contains the averaged weights already, so nothing is exchanged.
        """
        self._catch_up()
        self._update_statistics(runner)
        checkpoint["ema_state_dict"] = self.ema_model.state_dict()
        if not self._swapped:
            self._swap_ema_state_dict(checkpoint)

    def after_load_checkpoint(self, runner: RunnerView, checkpoint: dict[str, Any]) -> None:
        """Restores the average of a resumed run.

        A checkpoint has averaged weights in ``state_dict`` and trained weights in ``ema_state_dict``. The two are
        exchanged first, so that the run continues with the trained weights. If the run only loads weights, or if the
        checkpoint has no ``ema_state_dict``, the average starts with the loaded weights.
        """
        if runner.is_resuming and "ema_state_dict" in checkpoint:
            self._swap_ema_state_dict(checkpoint)
            self.ema_model.load_state_dict(checkpoint["ema_state_dict"], strict=self.strict_load)
            return
        if runner.is_resuming:
            logger.warning("The checkpoint holds no ema_state_dict; averaging starts at its weights")
        from eng.checkpoint import load_state_dict

        load_state_dict(self.ema_model.module, copy.copy(checkpoint["state_dict"]), strict=self.strict_load)

    def _update_statistics(self, runner: RunnerView) -> None:
        """Recomputes the BatchNorm statistics of the averaged model, if the average has changed since the last call."""
        steps = int(self.ema_model.steps)
        if not self.bn_batches or self._swapped or steps in (0, self._statistics_at):
            return
        # The averaged weights are swapped into the trained model, because under FSDP only the trained model can gather
        # its shards for a forward pass.
        self._swap_ema_parameters()
        update_bn(self.src_model, spread_batches(runner.train_dataloader, self.bn_batches))
        self._swap_ema_parameters()
        self._statistics_at = steps

    def _ema_started(self, runner: RunnerView) -> bool:
        if self.enabled_by_epoch:
            return runner.epoch + 1 >= self.begin_epoch
        return runner.iter + 1 >= self.begin_iter

    def _catch_up(self) -> None:
        """Copies the trained weights into the averaged model, if averaging has not begun.

        The copy is made only when the averaged model is used, instead of in each iteration.
        """
        if self._stale and not self._swapped:
            for ours, theirs in zip(_tensors(self.ema_model.module), _tensors(self.src_model), strict=True):
                ours.data.copy_(theirs.data)
            self._stale = False

    def _swap_ema_state_dict(self, checkpoint: dict[str, Any]) -> None:
        exchange_average(checkpoint)

    def _swap_ema_parameters(self) -> None:
        """Exchanges the parameters and buffers of the trained and the averaged model."""
        self._catch_up()
        for ours, theirs in zip(_tensors(self.ema_model.module), _tensors(self.src_model), strict=True):
            model_weights = ours.data.clone()
            ours.data.copy_(theirs.data)
            theirs.data.copy_(model_weights)
        self._swapped = not self._swapped


def _tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    return itertools.chain(model.parameters(), model.buffers())


def exchange_average(checkpoint: dict[str, Any]) -> None:
    """Exchanges the trained and the averaged weights of a checkpoint, between ``state_dict`` and ``ema_state_dict``.

    Args:
        checkpoint: a dict with both entries; it is changed in place.
    """
    model_state, ema_state = checkpoint["state_dict"], checkpoint["ema_state_dict"]
    for key in ema_state:
        if key.startswith("module."):
            name = key[len("module.") :]
            if name in model_state:
                model_state[name], ema_state[key] = ema_state[key], model_state[name]
