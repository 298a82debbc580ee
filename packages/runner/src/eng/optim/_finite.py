"""An optimizer step that is undone on the device if a gradient is NaN or infinite, without a synchronisation."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.utils import get_total_norm

from eng.checkpoint.dtensor import is_dtensor, local_part
from eng.dist import all_reduce


class NonFiniteGuard:
    """Steps an optimizer, and undoes the step if a gradient was NaN or infinite, so that weights and state stay valid.

    Whether a step is undone is decided on the device, so the host does not wait. The guard copies the parameters and
    the optimizer's state before each step, which takes the memory of both a second time while the step runs. State
    tensors that an undone step has created are set to zero. A step count that an optimizer keeps as a plain number is
    not undone.

    Attributes:
        finite: whether all gradients of the last step were finite, as a 0-dim bool tensor on the parameters' device;
            None before the first step.
        skipped: number of steps that were undone, as a 0-dim int64 tensor; None before the first step.

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
        """Calls ``optimizer.step``, and undoes the step if a gradient is not finite.

        Args:
            optimizer: the optimizer, whose parameters have their gradients.
            **kwargs: arguments of the optimizer's method ``step``.
        """
        self.keep(optimizer)
        optimizer.step(**kwargs)
        self.restore(optimizer)

    @torch.no_grad()
    def keep(self, optimizer: Any) -> None:
        """Copies all tensors that a step of ``optimizer`` may change, so that :meth:`restore` can undo the step.

        Code that calls ``optimizer.step`` itself calls this method before the step, and :meth:`restore` after the step.
        """
        parameters = _with_gradients(optimizer)
        tensors = (*parameters, *_state(optimizer, parameters))
        self._before = {id(tensor): (tensor, tensor.clone()) for tensor in tensors}
        if parameters:
            self.finite = all_finite([p.grad for p in parameters if p.grad is not None])

    @torch.no_grad()
    def restore(self, optimizer: Any) -> torch.Tensor | None:
        """Undoes the optimizer's step if a gradient was not finite, with the copies that :meth:`keep` took before.

        Returns:
            whether all gradients were finite, as a 0-dim bool tensor; None if no parameter had a gradient.
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
        if self.skipped is None:
            self.skipped = torch.zeros((), dtype=torch.int64, device=finite.device)
        self.skipped = self.skipped + ~finite
        return finite


def all_finite(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Returns whether all elements of the tensors are finite, as a 0-dim bool tensor.

    If a tensor is sharded over ranks, the ranks exchange their results, and the returned value covers all shards.

    Args:
        tensors: floating point tensors, at least one.
    """
    # The infinity norm (the largest magnitude) is NaN or infinite exactly if an element is. A 2-norm may overflow
    # although all elements are finite. Empty shards are left out, since their norm is not defined.
    local_parts = [part for part in map(local_part, tensors) if part.numel()]
    if local_parts:
        largest = get_total_norm(local_parts, norm_type=math.inf)
    else:
        largest = torch.zeros((), device=tensors[0].device)
    finite = torch.isfinite(largest)
    if any(map(is_dtensor, tensors)):
        flag = finite.to(torch.int32)
        all_reduce(flag, op="min")
        finite = flag > 0
    return finite


def keep_where(finite: torch.Tensor, tensor: torch.Tensor, old: torch.Tensor) -> None:
    """Writes the values of ``old`` into ``tensor`` if the 0-dim bool tensor ``finite`` is false.

    The values are selected on the device, so the host does not wait to read ``finite``.
    """
    values = local_part(tensor)
    values.copy_(torch.where(finite.to(values.device, non_blocking=True), values, local_part(old)))


def _with_gradients(optimizer: Any) -> list[torch.Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def _state(optimizer: Any, parameters: list[torch.Tensor]) -> list[torch.Tensor]:
    states = (optimizer.state.get(parameter, {}) for parameter in parameters)
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]
