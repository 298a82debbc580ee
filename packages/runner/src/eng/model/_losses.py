"""Sum the losses that a model returned, and pass the sum to the optimizer wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .errors import LossTypeError, NoLossError

WEIGHT_KEY = "loss_weight"


def sum_losses(losses: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Returns the sum of a model's losses, to call backward on, and the detached value of each loss, to log.

    Entries without ``loss`` in their name are logged but not summed, and the entry ``loss_weight`` is neither; see
    :meth:`eng.model.BaseModel.parse_losses`.
    """
    if not isinstance(losses, Mapping):
        raise LossTypeError(None, losses)
    total, log_vars = None, {}
    for name, value in losses.items():
        if name == WEIGHT_KEY:
            continue
        mean = _mean(name, value)
        log_vars[name] = mean.detach()
        if "loss" not in name:
            continue
        if total is None:
            total = mean
        else:
            total = total + mean
    if total is None:
        raise NoLossError(list(losses))
    # An entry "loss" of the model is logged in place of the sum. It stands last in both cases.
    if "loss" in log_vars:
        log_vars["loss"] = log_vars.pop("loss")
    else:
        log_vars["loss"] = total.detach()
    return total, log_vars


def _mean(name: str, value: Any) -> torch.Tensor:
    """Returns the mean of a loss tensor, or the sum of the means of a list of loss tensors.

    ``name`` is the loss's name in the error for a value of another type.
    """
    if isinstance(value, torch.Tensor):
        if value.dim() == 0 and value.is_floating_point():
            return value
        return _float(value).mean()
    if isinstance(value, (list, tuple)) and all(isinstance(item, torch.Tensor) for item in value):
        if not value:
            return torch.zeros(())
        return torch.stack([_float(item).mean() for item in value]).sum()
    raise LossTypeError(name, value)


def _float(value: torch.Tensor) -> torch.Tensor:
    if value.is_floating_point() or value.is_complex():
        return value
    return value.float()


def update_params(optim_wrapper: Any, loss: torch.Tensor, losses: Any) -> None:
    """Passes the summed loss to ``OptimWrapper.update_params``, which runs the backward and the optimizer step.

    If the model returned a ``loss_weight`` among its losses, ``update_params`` gets the weight too.
    """
    weight = None
    if isinstance(losses, Mapping):
        weight = losses.get(WEIGHT_KEY)
    if weight is None:
        optim_wrapper.update_params(loss)
    else:
        optim_wrapper.update_params(loss, weight=weight)
