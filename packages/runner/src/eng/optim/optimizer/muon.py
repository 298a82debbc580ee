"""Muon for matrices that are whole or spread over ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from eng.checkpoint.dtensor import full_tensor, is_dtensor


class Muon(torch.optim.Muon):
    """torch's Muon, with the same updates where FSDP2 or tensor parallelism spreads the matrices over ranks.

    torch's own class orthogonalises a matrix in bfloat16, and on shards the order of its sums differs: one update is then up to
    5 % away from that of one process. Here each rank gathers one matrix at a time with its gradient and momentum, and keeps
    its shard of the result. Arguments are those of ``torch.optim.Muon``.

    Examples:
        >>> weight = torch.nn.Parameter(torch.eye(2))
        >>> weight.grad = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
        >>> Muon([weight], lr=0.1).step()
        >>> weight.shape
        torch.Size([2, 2])
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch overloads it
        """Makes one step; see :meth:`torch.optim.Optimizer.step`."""
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
    """``torch.optim.Muon.step`` without the wrapper that fires step hooks.

    torch wraps the method once a plain ``torch.optim.Muon`` exists. The wrapper of the subclass has fired the hooks already.
    """
    step: Callable[..., Any] = torch.optim.Muon.step
    return step.__wrapped__ if getattr(step, "hooked", False) else step  # type: ignore[attr-defined]  # functools.wraps


def _step_gathered(parameter: Any, options: dict[str, Any], state: dict[str, Any]) -> None:
    """One step on the gathered matrix, whose result every rank scatters into its shard."""
    gathered = torch.nn.Parameter(_gathered(parameter))
    gathered.grad = _gathered(parameter.grad)
    optimizer = torch.optim.Muon([gathered], **options)
    if "momentum_buffer" in state:
        optimizer.state[gathered]["momentum_buffer"] = _gathered(state["momentum_buffer"])
    _step_without_hooks()(optimizer)  # global hooks are for the optimizer of the run, once per step
    state.setdefault("momentum_buffer", torch.zeros_like(parameter))
    _scatter(optimizer.state[gathered]["momentum_buffer"], state["momentum_buffer"])
    _scatter(gathered.detach(), parameter)


def _gathered(value: Any) -> torch.Tensor:
    matrix: torch.Tensor = full_tensor(value).detach().clone()
    return matrix


def _scatter(value: torch.Tensor, target: Any) -> None:
    """Copies a complete matrix into this rank's shard."""
    if not is_dtensor(target):
        target.copy_(value)
        return
    from torch.distributed.tensor import DTensor, Replicate

    everywhere = [Replicate()] * target.device_mesh.ndim
    target.copy_(DTensor.from_local(value, target.device_mesh, everywhere, run_check=False))
