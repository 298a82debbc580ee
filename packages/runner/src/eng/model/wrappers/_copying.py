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
    """Returns a deep copy of a model, which may be sharded by ``fully_shard``.

    The copy of a sharded model holds this rank's shards of the parameters. The state dict of the copy can be saved and
    loaded, but the forward of the copy cannot be called, since ``fully_shard`` does not manage its parameters.

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
    """Removes the changes that ``fully_shard`` made to a model's modules, for the length of a ``with`` block.

    The changed classes and hooks forbid a deep copy of the modules. They are restored after the block.
    """
    modules = list(model.modules())
    classes = [type(module) for module in modules]
    added = [{key: value for key, value in vars(module).items() if _is_added(key)} for module in modules]
    try:
        for module, cls, attributes in zip(modules, classes, added, strict=True):
            if hasattr(module, "reshard"):
                # fully_shard sets a class that derives from FSDPModule and the module's original class. The original
                # class is therefore third in the method resolution order.
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
    """Whether the module attribute named ``key`` holds hooks, or the state that ``fully_shard`` stores in a module."""
    return str(key).endswith("_hooks") or "composable_api" in str(key)


def cut_entries(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Replaces complete tensors in a state dict by this rank's shards, for a module with sharded parameters.

    torch calls this hook at the start of ``load_state_dict()``.
    """
    for name, parameter in module.named_parameters():
        value = state_dict.get(prefix + name)
        if is_dtensor(parameter) and isinstance(value, torch.Tensor) and not is_dtensor(value):
            state_dict[prefix + name] = shard_of(value.to(parameter.device), parameter)


def shard_of(value: torch.Tensor, target: Any) -> torch.Tensor:
    """Returns a DTensor with this rank's shard of a complete tensor, sharded like the DTensor `target`.

    Every rank holds the complete tensor, so the ranks need not communicate. torch's ``distribute_tensor`` is not used,
    because it cannot shard a dimension that both tensor parallelism and FSDP split.
    """
    from torch.distributed.tensor import DTensor

    mesh, placements = target.device_mesh, target.placements
    # __create_chunk_list__ is the method by which torch's distributed checkpoints get the offsets and sizes of this
    # rank's shard of a DTensor.
    (chunk,) = target.__create_chunk_list__()
    part = value.detach()
    for dimension, (offset, length) in enumerate(zip(chunk.offsets, chunk.sizes, strict=True)):
        part = part.narrow(dimension, min(offset, part.shape[dimension]), length)
    part = part.clone(memory_format=torch.contiguous_format)
    placed: torch.Tensor = DTensor.from_local(
        part, mesh, placements, run_check=False, shape=target.shape, stride=target.stride()
    )
    return placed
