"""From a loss dictionary to the number that is minimised and the numbers that are logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .errors import LossTypeError, NoLossError

WEIGHT_KEY = "loss_weight"


def sum_losses(losses: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """See :meth:`eng.model.BaseModel.parse_losses`."""
    if not isinstance(losses, Mapping):
        raise LossTypeError(None, losses)
    values = {name: _mean(name, value) for name, value in losses.items() if name != WEIGHT_KEY}
    parts = [value for name, value in values.items() if "loss" in name]
    if not parts:
        raise NoLossError(list(losses))
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    log_vars = {name: value.detach() for name, value in values.items() if name != "loss"}
    log_vars["loss"] = total.detach() if "loss" not in values else values["loss"].detach()
    return total, log_vars


def _mean(name: str, value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value if value.dim() == 0 and value.is_floating_point() else _float(value).mean()
    if isinstance(value, (list, tuple)) and all(isinstance(item, torch.Tensor) for item in value):
        return torch.stack([_float(item).mean() for item in value]).sum() if value else torch.zeros(())
    raise LossTypeError(name, value)


def _float(value: torch.Tensor) -> torch.Tensor:
    return value if value.is_floating_point() or value.is_complex() else value.float()


def update_params(optim_wrapper: Any, loss: torch.Tensor, losses: Any) -> None:
    """Hands the loss to the optimizer wrapper, with its weight where the model gave one."""
    weight = losses.get(WEIGHT_KEY) if isinstance(losses, Mapping) else None
    if weight is None:
        optim_wrapper.update_params(loss)
    else:
        optim_wrapper.update_params(loss, weight=weight)
