"""Gradient accumulation: weighted sums of gradients, and saving and restoring an unfinished accumulation window."""

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
    """Accumulates the gradients of losses that are means over different numbers of samples.

    An accumulation window is the series of losses whose gradients are summed for one optimizer step. Each loss is
    multiplied by its weight, such as its number of samples; at the end of the window the summed gradients are divided
    by the sum of the weights.

    Args:
        total: sum of the weights so far, of a window that a checkpoint saved before its end; None (default) begins a
            new window.

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
        """Returns the loss times its weight, and adds the weight to the sum of the accumulation window's weights.

        Args:
            loss: a loss of the window, as a 0-dim tensor.
            weight: weight of the loss, a number or a 0-dim tensor, 0 or more.

        Raises:
            OptimError: ``weight`` is a number below 0. A weight that is a tensor is not checked, since the host would
                have to wait for the device to read the tensor's value.
        """
        if isinstance(weight, torch.Tensor):
            weight = weight.detach()
        elif not weight >= 0:
            raise OptimError(f"the weight of a loss must be 0 or more, got {weight!r}")
        if self.total is None:
            self.total = weight
        else:
            self.total = self.total + weight
        return loss * weight

    def normalise(self, gradients: Sequence[torch.Tensor | None]) -> None:
        """Divides the gradients in place by the sum of the weights of all losses in the accumulation window.

        With several ranks the gradients are averages over the ranks, so each rank divides by the average of the ranks'
        sums of weights. If the average is zero, all losses had the weight 0; the gradients are zero and stay unchanged.

        Args:
            gradients: the gradients of this rank's parameters, after they were averaged over the ranks.
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
    """Returns a number or a tensor with one element as a new 0-dim float tensor on the device.

    The host does not wait for the device.
    """
    dtype = torch.float64 if device.type == "cpu" else torch.float32
    if isinstance(value, torch.Tensor):
        return value.to(device, dtype, non_blocking=True, copy=True).reshape(())
    return torch.full((), float(value), dtype=dtype, device=device)


def gradients_of(parameters: Sequence[tuple[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Returns copies of the parameters' gradients by parameter name; of a sharded gradient, this rank's shard.

    Parameters without a gradient are left out.

    Args:
        parameters: pairs of a parameter's name and the parameter.
    """
    return {name: local_part(p.grad).detach().clone() for name, p in parameters if p.grad is not None}


def restore_gradients(parameters: Sequence[tuple[str, torch.Tensor]], gradients: Mapping[str, torch.Tensor]) -> None:
    """Sets the ``grad`` of each parameter to the gradient that was saved under the parameter's name.

    Parameters without a saved gradient stay unchanged; saved gradients without a parameter cause a warning.

    Args:
        parameters: pairs of a parameter's name and the parameter.
        gradients: saved gradients by parameter name, as :func:`gradients_of` returns them.
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
    """Returns a copy of a saved gradient with the device, the dtype and the sharding of the parameter."""
    gradient = gradient.to(parameter.device, parameter.dtype, copy=True)
    if not is_dtensor(parameter):
        return gradient
    from torch.distributed.tensor import DTensor

    sharded: torch.Tensor = DTensor.from_local(
        gradient, parameter.device_mesh, parameter.placements, shape=parameter.shape, stride=parameter.stride()
    )
    return sharded


def has_batch_norm(model: nn.Module) -> bool:
    """Whether the model has a layer that normalises with the statistics of a batch, such as BatchNorm."""
    # BatchNorm layers of other libraries need not derive from torch's class, but all have the attribute running_mean,
    # so the attribute is tested instead of the class.
    return any(hasattr(m, "running_mean") and not isinstance(m, _INSTANCE_NORMS) for m in model.modules())


_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
