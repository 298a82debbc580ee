"""Looking through what is wrapped around a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from .unwrap import wrapped_in


def wrapper_prefixes(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, str]]:
    """For each wrapper below `module`: the prefix of its keys, and that of the keys as if it were not there."""
    for name, child in module.named_modules(prefix=prefix):
        inner = wrapped_in(child)
        if inner is not None and child is not module:
            attribute = "_orig_mod" if hasattr(child, "_orig_mod") else "module"
            yield f"{name}.{attribute}.", f"{name}."


def to_cpu(state: Any) -> Any:
    """Tensors of a nested state on the CPU; containers are new, everything else is as it was."""
    if isinstance(state, torch.Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return type(state)({key: to_cpu(value) for key, value in state.items()})
    if isinstance(state, list | tuple) and not hasattr(state, "_fields"):
        return type(state)(to_cpu(value) for value in state)
    return state
