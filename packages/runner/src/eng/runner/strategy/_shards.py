"""Converts between complete tensors and the shards of a rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.checkpoint.dtensor import is_dtensor
from eng.model.wrappers._copying import cut_entries, shard_of


def gather_tensors(value: Any) -> Any:
    """Copies nested mappings and lists; each sharded tensor is gathered from all ranks into a complete CPU tensor.

    All ranks must call this function with values of the same structure.
    """
    if is_dtensor(value):
        return value.full_tensor().detach().cpu()
    if isinstance(value, Mapping):
        return {key: gather_tensors(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(gather_tensors(item) for item in value)
    return value


def cut_like(value: object, parameter: object) -> Any:
    """Shards a complete tensor like a sharded parameter of the same shape; returns every other value as it is.

    Each rank cuts its shard out of its own complete tensor, without communication.
    """
    if not is_dtensor(parameter) or is_dtensor(value) or not isinstance(value, torch.Tensor):
        return value
    if value.shape != parameter.shape:
        return value
    return shard_of(value.to(parameter.device), parameter)


def whole_shape(parameter: torch.Tensor) -> torch.Size:
    """Returns the shape of the complete parameter, even if DeepSpeed's ZeRO stage 3 left only a part on this rank."""
    return getattr(parameter, "ds_shape", parameter.shape)


def take_whole_weights(model: nn.Module) -> None:
    """Makes ``load_state_dict`` of a sharded model accept complete tensors, of which each rank keeps its own shard."""
    model.register_load_state_dict_pre_hook(cut_entries)


def shard_optimizer_state(optimizer: torch.optim.Optimizer) -> None:
    """Replaces complete tensors in an optimizer's state by shards that are cut like the parameter of each tensor.

    Tensors whose shape differs from their parameter's, such as step counters, stay complete.
    """
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            state[key] = cut_like(value, parameter)
