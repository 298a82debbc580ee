"""Muon for matrices that are sharded over ranks, and for plain ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from eng.checkpoint.dtensor import full_tensor, is_dtensor


class Muon(torch.optim.Muon):
    """``torch.optim.Muon``, whose updates do not change if FSDP2 or tensor parallelism shards the matrices over ranks.

    ``torch.optim.Muon`` orthogonalises the update of a matrix in bfloat16. On a sharded matrix the sums are computed in
    another order, so that an update differs by up to 5 % from the update in a single process. This class gathers each
    matrix, with its gradient and momentum, on all ranks before its update, one matrix at a time; afterwards each rank
    keeps its shard of the result. Arguments are those of ``torch.optim.Muon``.

    Examples:
        >>> weight = torch.nn.Parameter(torch.eye(2))
        >>> weight.grad = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
        >>> Muon([weight], lr=0.1).step()
        >>> weight.shape
        torch.Size([2, 2])
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch overloads it
        """Updates the matrices with their gradients.

        ``closure`` computes the loss again and returns it; see :meth:`torch.optim.Optimizer.step`.
        """
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        if not any(map(is_dtensor, parameters)):
            loss: float | None = _step_without_hooks()(self, closure)
            return loss
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            options = {name: group[name] for name in self.defaults if name in group}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    _step_gathered(parameter, options, self.state[parameter])
        return loss


def _step_without_hooks() -> Callable[..., Any]:
    """Returns ``torch.optim.Muon.step`` without torch's wrapper that calls step hooks.

    torch wraps the method ``step`` of an optimizer class when the first optimizer of the class is created. The step of
    eng's subclass Muon has such a wrapper, which has called the hooks; a second wrapper would call them twice.
    """
    step: Callable[..., Any] = torch.optim.Muon.step
    return step.__wrapped__ if getattr(step, "hooked", False) else step  # type: ignore[attr-defined]  # functools.wraps


def _step_gathered(parameter: Any, options: dict[str, Any], state: dict[str, Any]) -> None:
    """Updates one sharded matrix as if it was not sharded.

    The matrix, its gradient and its momentum are gathered, a plain ``torch.optim.Muon`` updates the gathered matrix,
    and this rank's part of the matrix and of the momentum is copied back into the shards.
    """
    gathered = torch.nn.Parameter(_gather(parameter))
    gathered.grad = _gather(parameter.grad)
    optimizer = torch.optim.Muon([gathered], **options)
    if "momentum_buffer" in state:
        optimizer.state[gathered]["momentum_buffer"] = _gather(state["momentum_buffer"])
    # The step without hooks is called, since torch's global step hooks must run once per step and not once per matrix.
    _step_without_hooks()(optimizer)
    state.setdefault("momentum_buffer", torch.zeros_like(parameter))
    _scatter(optimizer.state[gathered]["momentum_buffer"], state["momentum_buffer"])
    _scatter(gathered.detach(), parameter)


def _gather(value: Any) -> torch.Tensor:
    matrix: torch.Tensor = full_tensor(value).detach().clone()
    return matrix


def _scatter(value: torch.Tensor, target: Any) -> None:
    """Copies a complete matrix into ``target``; if ``target`` is sharded, only this rank's part of the matrix."""
    if not is_dtensor(target):
        target.copy_(value)
        return
    from torch.distributed.tensor import DTensor, Replicate

    everywhere = [Replicate()] * target.device_mesh.ndim
    target.copy_(DTensor.from_local(value, target.device_mesh, everywhere, run_check=False))
