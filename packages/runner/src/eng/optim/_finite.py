"""An optimizer step that leaves everything as it was where a gradient is not finite, without asking the device."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.utils import get_total_norm

from eng.checkpoint.dtensor import is_dtensor, local_part
from eng.dist import all_reduce


class NonFiniteGuard:
    """Steps an optimizer; where a gradient is NaN or infinite, weights and optimizer state keep their values.

    The decision is made on the device: nothing waits for it. Values from before the step are copied, so it needs
    memory for the parameters and the optimizer's tensors once more while a step runs. State that the step creates
    becomes zero. A count that an optimizer keeps as a plain number goes on.

    Attributes:
        finite: whether the gradients of the last step were all finite: 0-dim bool tensor on the parameters' device;
            None before the first step.
        skipped: how many steps were skipped: 0-dim int64 tensor; None before the first step.

    Examples:
        >>> weight = torch.ones(1, requires_grad=True)
        >>> optimizer, guard = torch.optim.SGD([weight], lr=0.1), NonFiniteGuard()
        >>> weight.grad = torch.tensor([math.nan])
        >>> guard.step(optimizer)
        >>> weight.item(), int(guard.skipped)
        (1.0, 1)
    """

    def __init__(self) -> None:
        self.finite: torch.Tensor | None = None
        self.skipped: torch.Tensor | None = None
        self._before: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def step(self, optimizer: Any, **kwargs: Any) -> None:
        """Steps ``optimizer``.

        Args:
            optimizer: the optimizer.
            **kwargs: of its ``step``.
        """
        self.keep(optimizer)
        optimizer.step(**kwargs)
        self.restore(optimizer)

    @torch.no_grad()
    def keep(self, optimizer: Any) -> None:
        """Copies what a step of ``optimizer`` may change; for a step that is not taken through :meth:`step`."""
        parameters = _with_gradients(optimizer)
        tensors = (*parameters, *_state(optimizer, parameters))
        self._before = {id(tensor): (tensor, tensor.clone()) for tensor in tensors}
        if parameters:
            self.finite = all_finite([p.grad for p in parameters if p.grad is not None])

    @torch.no_grad()
    def restore(self, optimizer: Any) -> torch.Tensor | None:
        """Puts back what :meth:`keep` copied, where a gradient was not finite.

        Returns:
            :attr:`finite`; None where no parameter had a gradient.
        """
        before, self._before = self._before, {}
        finite = self.finite
        if not before or finite is None:
            return None
        for tensor, old in before.values():
            keep_where(finite, tensor, old)
        for tensor in _state(optimizer, _with_gradients(optimizer)):
            if id(tensor) not in before:
                keep_where(finite, tensor, torch.zeros_like(tensor))
        skipped = torch.zeros((), dtype=torch.int64, device=finite.device) if self.skipped is None else self.skipped
        self.skipped = skipped + ~finite
        return finite


def all_finite(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Whether no element is NaN or infinite, as a 0-dim bool tensor; over all ranks where a tensor is sharded.

    Args:
        tensors: floating point tensors, at least one.
    """
    # The largest magnitude is NaN or infinite exactly where an element is; a 2-norm may overflow for finite ones.
    # A rank's shard may be empty, and then has no largest magnitude.
    mine = [part for part in map(local_part, tensors) if part.numel()]
    largest = get_total_norm(mine, norm_type=math.inf) if mine else torch.zeros((), device=tensors[0].device)
    finite = torch.isfinite(largest)
    if any(map(is_dtensor, tensors)):
        flag = finite.to(torch.int32)
        all_reduce(flag, op="min")
        finite = flag > 0
    return finite


def keep_where(finite: torch.Tensor, tensor: torch.Tensor, old: torch.Tensor) -> None:
    """Gives ``tensor`` the values of ``old``, on the device, unless ``finite`` is true."""
    mine, theirs = local_part(tensor), local_part(old)
    mine.copy_(torch.where(finite.to(mine.device, non_blocking=True), mine, theirs))


def _with_gradients(optimizer: Any) -> list[torch.Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def _state(optimizer: Any, parameters: list[torch.Tensor]) -> list[torch.Tensor]:
    states = (optimizer.state.get(parameter, {}) for parameter in parameters)
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]
