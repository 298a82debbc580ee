"""Copy models, including models that FSDP2 has sharded."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from eng.checkpoint.dtensor import is_dtensor
from eng.model.errors import WrapperOptionError


def copy_of(model: nn.Module) -> nn.Module:
    """Returns a deep copy of a model.

    The copy of a sharded model holds this rank's shards. It can be saved and loaded, but its forward cannot be called.

    Raises:
        WrapperOptionError: DeepSpeed has partitioned the parameters (ZeRO stage 3).
    """
    if any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
        raise WrapperOptionError(
            "zero_optimization",
            "stage 3 keeps parameters in parts of DeepSpeed's own, which cannot be averaged: take stage 1 or 2, or FSDP2, "
            "whose shards can",
        )
    if not any(map(is_dtensor, model.parameters())):
        return copy.deepcopy(model)
    memo: dict[int, Any] = {
        id(p): nn.Parameter(p.detach().clone(), requires_grad=p.requires_grad) for p in model.parameters()
    }
    with _plain(model):
        copied: nn.Module = copy.deepcopy(model, memo)
    copied.register_load_state_dict_pre_hook(cut_entries)
    return copied


@contextmanager
def _plain(model: nn.Module) -> Iterator[None]:
    """Removes the changes of ``fully_shard`` from the modules within the ``with`` block, because it forbids copying."""
    modules = list(model.modules())
    classes = [type(module) for module in modules]
    added = [{key: value for key, value in vars(module).items() if _is_added(key)} for module in modules]
    try:
        for module, cls, attributes in zip(modules, classes, added, strict=True):
            if hasattr(module, "reshard"):
                module.__class__ = cls.__mro__[2]
            for key, value in attributes.items():
                vars(module).pop(key)
                if isinstance(key, str) and key.endswith("_hooks"):
                    vars(module)[key] = type(value)()
        yield
    finally:
        for module, cls, attributes in zip(modules, classes, added, strict=True):
            module.__class__ = cls
            vars(module).update(attributes)


def _is_added(key: Any) -> bool:
    """Whether a module's attribute holds hooks, or the state that torch stores for ``fully_shard``."""
    return str(key).endswith("_hooks") or "composable_api" in str(key)


def cut_entries(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Replaces complete tensors in a state dict by this rank's shards; a hook that runs before ``load_state_dict``."""
    for name, parameter in module.named_parameters():
        value = state_dict.get(prefix + name)
        if is_dtensor(parameter) and isinstance(value, torch.Tensor) and not is_dtensor(value):
            state_dict[prefix + name] = shard_of(value.to(parameter.device), parameter)


def shard_of(value: torch.Tensor, target: Any) -> torch.Tensor:
    """Returns this rank's shard of a tensor that every rank holds, sharded like `target`, without communication.

    torch's ``distribute_tensor`` cannot shard a dimension that both tensor parallelism and FSDP split.
    """
    from torch.distributed.tensor import DTensor

    mesh, placements = target.device_mesh, target.placements
    # torch's distributed checkpoints ask a DTensor by this method for the offsets and sizes of this rank's shard.
    (chunk,) = target.__create_chunk_list__()
    part = value.detach()
    for dimension, (offset, length) in enumerate(zip(chunk.offsets, chunk.sizes, strict=True)):
        part = part.narrow(dimension, min(offset, part.shape[dimension]), length)
    part = part.clone(memory_format=torch.contiguous_format)
    placed: torch.Tensor = DTensor.from_local(
        part, mesh, placements, run_check=False, shape=target.shape, stride=target.stride()
    )
    return placed
