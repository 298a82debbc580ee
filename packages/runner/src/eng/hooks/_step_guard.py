"""StepGuard: undoes optimizer steps whose gradients are not finite."""

from __future__ import annotations

from typing import Any

import torch

from eng.device import get_device
from eng.dist import all_reduce
from eng.optim._finite import NonFiniteGuard, keep_where


class StepGuard:
    """Undoes an optimizer step whose gradients are not finite, and what the model's buffers took from its batch.

    :class:`~eng.optim._finite.NonFiniteGuard` looks after parameters and the optimizer's tensors in each step, whoever
    takes it; buffers such as BatchNorm's statistics follow the same flag.

    Args:
        model: the model whose buffers are kept; one with ``splits_updates`` leaves each rank a part of the update.
        optimizer: the optimizer to guard.

    Attributes:
        guard: what skips the steps, and counts them.
    """

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.guard = NonFiniteGuard()
        self._is_split = bool(getattr(model, "splits_updates", False))
        self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        optimizer.register_step_pre_hook(self._keep)
        optimizer.register_step_post_hook(self._restore)

    def _keep(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Keeps weights and state before a step, and lets all ranks agree where each updates a part of the weights."""
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
        finite = self.guard.restore(optimizer)
        if finite is None:
            return
        for buffer, good in self._buffers:
            keep_where(finite, buffer, good)
            good.copy_(buffer)
