"""Muon for matrices that are sharded over ranks, and for plain ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from eng.checkpoint.dtensor import full_tensor, is_dtensor


class Muon(torch.optim.Muon):
    """torch's Muon, with the same updates if FSDP2 or tensor parallelism shards the matrices over ranks.

    ``torch.optim.Muon`` orthogonalises a matrix in bfloat16. On shards it adds in another order, so an update differs
    by up to 5 % from the update on a single process. This class gathers one matrix at a time on each rank, with its
    gradient and momentum, and each rank keeps its shard of the result. Arguments are those of ``torch.optim.Muon``.

    Examples:
        >>> weight = torch.nn.Parameter(torch.eye(2))
        >>> weight.grad = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
        >>> Muon([weight], lr=0.1).step()
        >>> weight.shape
        torch.Size([2, 2])
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch overloads it
        """Updates the matrices with their gradients; see :meth:`torch.optim.Optimizer.step`."""
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
    """Returns ``torch.optim.Muon.step`` without the wrapper that fires step hooks.

    torch wraps the method when the first plain ``torch.optim.Muon`` is created. The wrapper around the subclass's
    ``step`` has fired the hooks already, so a second wrapper would fire them twice.
    """
    step: Callable[..., Any] = torch.optim.Muon.step
    return step.__wrapped__ if getattr(step, "hooked", False) else step  # type: ignore[attr-defined]  # functools.wraps


def _step_gathered(parameter: Any, options: dict[str, Any], state: dict[str, Any]) -> None:
    """Steps on the gathered matrix and copies this rank's part of the result into its shard."""
    gathered = torch.nn.Parameter(_gather(parameter))
    gathered.grad = _gather(parameter.grad)
    optimizer = torch.optim.Muon([gathered], **options)
    if "momentum_buffer" in state:
        optimizer.state[gathered]["momentum_buffer"] = _gather(state["momentum_buffer"])
    # torch's global step hooks must run once per step of the run, not once per matrix.
    _step_without_hooks()(optimizer)
    state.setdefault("momentum_buffer", torch.zeros_like(parameter))
    _scatter(optimizer.state[gathered]["momentum_buffer"], state["momentum_buffer"])
    _scatter(gathered.detach(), parameter)


def _gather(value: Any) -> torch.Tensor:
    matrix: torch.Tensor = full_tensor(value).detach().clone()
    return matrix


def _scatter(value: torch.Tensor, target: Any) -> None:
    """Copies this rank's part of a complete matrix into its shard ``target``."""
    if not is_dtensor(target):
        target.copy_(value)
        return
    from torch.distributed.tensor import DTensor, Replicate

    everywhere = [Replicate()] * target.device_mesh.ndim
    target.copy_(DTensor.from_local(value, target.device_mesh, everywhere, run_check=False))
