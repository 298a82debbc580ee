"""Between whole tensors and shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.checkpoint.dtensor import is_dtensor
from eng.model.wrappers._copying import cut_entries, shard_of


def gather_tensors(value: Any) -> Any:
    """The same nested value with every sharded tensor whole and on the CPU; all ranks call it."""
    if is_dtensor(value):
        return value.full_tensor().detach().cpu()
    if isinstance(value, Mapping):
        return {key: gather_tensors(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(gather_tensors(item) for item in value)
    return value


def cut_like(value: object, parameter: object) -> Any:
    """``value`` in shards where ``parameter`` is sharded, has its shape, and ``value`` is whole.

    Each rank cuts its part out of the tensor that it holds; nothing is sent.
    """
    if not is_dtensor(parameter) or is_dtensor(value) or not isinstance(value, torch.Tensor):
        return value
    if value.shape != parameter.shape:
        return value
    return shard_of(value.to(parameter.device), parameter)


def whole_shape(parameter: torch.Tensor) -> torch.Size:
    """The shape of a parameter of which DeepSpeed's stage 3 may keep a part on each rank."""
    return getattr(parameter, "ds_shape", parameter.shape)


def take_whole_weights(model: nn.Module) -> None:
    """Makes ``load_state_dict`` of a sharded model take whole tensors too."""
    model.register_load_state_dict_pre_hook(cut_entries)


def shard_optimizer_state(optimizer: torch.optim.Optimizer) -> None:
    """Puts whole tensors of the optimizer's state into the shards of their parameters."""
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            state[key] = cut_like(value, parameter)
