"""The accumulation window: what is summed in it, and how it is carried over a restart."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from eng.checkpoint.dtensor import is_dtensor, local_part
from eng.dist import all_reduce, get_world_size

from .errors import OptimError

logger = logging.getLogger(__name__)


class WeightedWindow:
    """Gradients of weighted losses, summed, and then divided by the sum of the weights.

    Args:
        total: sum of the weights so far; None (default) begins a window.

    Examples:
        >>> weight = torch.ones(1, requires_grad=True)
        >>> window = WeightedWindow()
        >>> window.weighed((2 * weight).sum(), weight=1).backward()
        >>> window.weighed((6 * weight).sum(), weight=3).backward()
        >>> window.normalise([weight.grad])
        >>> weight.grad.item()  # (1 * 2 + 3 * 6) / 4
        5.0
    """

    def __init__(self, total: torch.Tensor | float | None = None) -> None:
        self.total = total

    def weighed(self, loss: torch.Tensor, weight: float | torch.Tensor) -> torch.Tensor:
        """The loss times its weight, which is added to the sum.

        Args:
            loss: 0-dim tensor.
            weight: a number or a 0-dim tensor, 0 or more.

        Raises:
            OptimError: a number below 0. A tensor is not looked at, as that would wait for the device.
        """
        if isinstance(weight, torch.Tensor):
            weight = weight.detach()
        elif not weight >= 0:
            raise OptimError(f"the weight of a loss must be 0 or more, got {weight!r}")
        self.total = weight if self.total is None else self.total + weight
        return loss * weight

    def normalise(self, gradients: Sequence[torch.Tensor | None]) -> None:
        """Divides the gradients, in place, by the sum of the weights.

        Ranks average their gradients, so they divide by the average of their sums. A window without any weight keeps
        its gradients, which are zero.

        Args:
            gradients: of this rank's parameters, after the exchange between ranks.
        """
        present = [local_part(gradient) for gradient in gradients if gradient is not None]
        if not present:
            return
        total = _scalar(self.total, present[0].device)
        if get_world_size() > 1:
            all_reduce(total, op="mean")
        total = torch.where(total == 0, torch.ones_like(total), total)
        for gradient in present:
            gradient.div_(total.to(gradient.device))


def _scalar(value: Any, device: torch.device) -> torch.Tensor:
    """A 0-dim tensor of its own on the device; a number is written there without a copy that would wait."""
    dtype = torch.float64 if device.type == "cpu" else torch.float32
    if isinstance(value, torch.Tensor):
        return value.to(device, dtype, non_blocking=True, copy=True).reshape(())
    return torch.full((), float(value), dtype=dtype, device=device)


def gradients_of(parameters: Sequence[tuple[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Copies of the gradients that this rank holds, by name.

    Args:
        parameters: names and parameters.
    """
    return {name: local_part(p.grad).detach().clone() for name, p in parameters if p.grad is not None}


def restore_gradients(parameters: Sequence[tuple[str, torch.Tensor]], gradients: Mapping[str, torch.Tensor]) -> None:
    """Gives parameters the gradients that were saved under their names.

    Args:
        parameters: names and parameters.
        gradients: what :func:`gradients_of` gave.
    """
    unknown = set(gradients) - {name for name, _ in parameters}
    if unknown:
        logger.warning(
            "Gradients of an open accumulation window belong to no parameter: %s", ", ".join(sorted(unknown))
        )
    for name, parameter in parameters:
        if name in gradients:
            parameter.grad = _gradient_for(parameter, gradients[name])


def _gradient_for(parameter: Any, gradient: torch.Tensor) -> torch.Tensor:
    """A copy of a saved gradient on the device, in the type and with the sharding of its parameter."""
    gradient = gradient.to(parameter.device, parameter.dtype, copy=True)
    if not is_dtensor(parameter):
        return gradient
    from torch.distributed.tensor import DTensor

    sharded: torch.Tensor = DTensor.from_local(
        gradient, parameter.device_mesh, parameter.placements, shape=parameter.shape, stride=parameter.stride()
    )
    return sharded


def has_batch_norm(model: nn.Module) -> bool:
    """Whether the model has a layer that normalises with the statistics of a batch."""
    # Layers of other libraries need not derive from torch's; all of them keep running statistics.
    return any(hasattr(m, "running_mean") and not isinstance(m, _INSTANCE_NORMS) for m in model.modules())


_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
