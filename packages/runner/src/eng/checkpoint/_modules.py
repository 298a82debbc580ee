"""Looking through what is wrapped around a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from eng.registry import MODEL_WRAPPERS


def unwrap(module: nn.Module) -> nn.Module:
    """The model inside data-parallel wrappers and compiled modules."""
    while (inner := _inner(module)) is not None:
        module = inner
    return module


def wrapper_prefixes(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, str]]:
    """For each wrapper below `module`: the prefix of its keys, and that of the keys as if it were not there."""
    for name, child in module.named_modules(prefix=prefix):
        inner = _inner(child)
        if inner is not None and child is not module:
            attribute = "_orig_mod" if hasattr(child, "_orig_mod") else "module"
            yield f"{name}.{attribute}.", f"{name}."


def _inner(module: nn.Module) -> nn.Module | None:
    compiled = getattr(module, "_orig_mod", None)
    if isinstance(compiled, nn.Module):  # of torch.compile, which may not have been imported, as that takes a second
        return compiled
    wrappers = (DataParallel, DistributedDataParallel, *_registered())
    inner = getattr(module, "module", None)
    return inner if isinstance(module, wrappers) and isinstance(inner, nn.Module) else None


def _registered() -> tuple[type, ...]:
    return tuple(kind for kind in MODEL_WRAPPERS.module_dict.values() if isinstance(kind, type))


def to_cpu(state: Any) -> Any:
    """Tensors of a nested state on the CPU; containers are new, everything else is as it was."""
    if isinstance(state, torch.Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return type(state)({key: to_cpu(value) for key, value in state.items()})
    if isinstance(state, list | tuple) and not hasattr(state, "_fields"):
        return type(state)(to_cpu(value) for value in state)
    return state
