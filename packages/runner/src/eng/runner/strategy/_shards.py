"""Between whole tensors and shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.model.wrappers._copying import cut_entries, shard_of


def whole(value: Any) -> Any:
    """The same nested value with every sharded tensor whole and on the CPU; all ranks call it."""
    if hasattr(value, "full_tensor"):
        return value.detach().full_tensor().cpu()
    if isinstance(value, Mapping):
        return {key: whole(item) for key, item in value.items()}
    return type(value)(whole(item) for item in value) if type(value) in (list, tuple) else value


def like(value: Any, parameter: Any) -> Any:
    """``value`` in shards where ``parameter`` is sharded, has its shape, and ``value`` is whole.

    Each rank cuts its part out of the tensor that it holds; nothing is sent.
    """
    from torch.distributed.tensor import DTensor

    if not isinstance(parameter, DTensor) or isinstance(value, DTensor) or not isinstance(value, torch.Tensor):
        return value
    if value.shape != parameter.shape:
        return value
    return shard_of(value.to(parameter.device), parameter)


def take_whole_weights(model: nn.Module) -> None:
    """Makes ``load_state_dict`` of a sharded model take whole tensors too."""
    model.register_load_state_dict_pre_hook(cut_entries)


def shard_optimizer_state(optimizer: torch.optim.Optimizer) -> None:
    """Puts whole tensors of the optimizer's state into the shards of their parameters."""
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            state[key] = like(value, parameter)
