"""StepGuard: undoes the effects of optimizer steps whose gradients are NaN or infinite."""

from __future__ import annotations

from typing import Any

import torch

from eng.device import get_device
from eng.dist import all_reduce
from eng.optim._finite import NonFiniteGuard, keep_where


class StepGuard:
    """Undoes an optimizer step whose gradients are NaN or infinite.

    :class:`~eng.optim._finite.NonFiniteGuard` restores the parameters and the optimizer state. This class restores the
    model's buffers, such as BatchNorm's running statistics, which the forward pass of the same batch has changed. The
    class registers step hooks of the optimizer, so that every call of ``optimizer.step()`` is guarded.

    Args:
        model: the model whose buffers are restored. If its ``splits_updates`` is True, each rank updates only a part of the
            weights, and all ranks must agree to undo a step.
        optimizer: the optimizer to guard.

    Attributes:
        guard: restores parameters and optimizer state, and counts the undone steps.
    """

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.guard = NonFiniteGuard()
        self._is_split = bool(getattr(model, "splits_updates", False))
        self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        optimizer.register_step_pre_hook(self._keep)
        optimizer.register_step_post_hook(self._restore)

    def _keep(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Copies weights and optimizer state before a step, and stores whether the gradients are finite.

        If each rank updates only a part of the weights, the flag is False on all ranks as soon as the gradients of one
        rank are not finite, so that all ranks undo the step.
        """
        self.guard.keep(optimizer)
        if self._is_split:
            mine = self.guard.finite
            if mine is None:
                flag = torch.ones((), dtype=torch.int32, device=get_device())
            else:
                flag = mine.to(torch.int32)
            all_reduce(flag, op="min")
            self.guard.finite = flag > 0

    @torch.no_grad()
    def _restore(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Restores weights, optimizer state and buffers if the gradients of the step were not finite.

        Otherwise copies the current buffers, which a later call restores after a step that is undone.
        """
        finite = self.guard.restore(optimizer)
        if finite is None:
            return
        for buffer, good in self._buffers:
            keep_where(finite, buffer, good)
            good.copy_(buffer)
