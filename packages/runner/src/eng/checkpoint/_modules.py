"""Names and devices of weights: the key prefixes of wrapped submodules, and nested states on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from .torch_internals import compiled_module
from .unwrap import wrapped_in


def wrapper_prefixes(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields two prefixes of state-dict keys for each wrapped or compiled submodule of a model.

    The first prefix contains the attribute of the wrapper, as in ``backbone.module.`` or ``backbone._orig_mod.``; the
    second is the prefix without that attribute, as in ``backbone.``.

    Args:
        module: the model. If the model itself is a wrapper, no prefixes are yielded for it.
        prefix: text that precedes the names of all submodules.
    """
    for path, child in module.named_modules(prefix=prefix):
        inner = wrapped_in(child)
        if inner is not None and child is not module:
            attribute = "module"
            if compiled_module(child) is not None:
                attribute = "_orig_mod"
            yield f"{path}.{attribute}.", f"{path}."


def to_cpu(state: Any) -> Any:
    """Returns a nested state with its tensors on the CPU; dicts, lists and tuples are copied, other values are not."""
    if isinstance(state, torch.Tensor):
        return state.cpu()
    if isinstance(state, dict):
        return type(state)({key: to_cpu(value) for key, value in state.items()})
    if isinstance(state, list | tuple) and not hasattr(state, "_fields"):
        return type(state)(to_cpu(value) for value in state)
    return state
