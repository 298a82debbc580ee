"""Get the weights of a model under the names that checkpoints use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from ._modules import to_cpu, wrapper_prefixes
from .torch_internals import module_versions, set_module_versions
from .unwrap import unwrap

__all__ = ["get_state_dict", "weights_to_cpu"]


def weights_to_cpu(state_dict: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Copies weights to the CPU, and keeps the version numbers of the model's modules (attribute ``_metadata``).

    Args:
        state_dict: the state dict of a model.
    """
    moved = OrderedDict((key, to_cpu(value)) for key, value in state_dict.items())
    set_module_versions(moved, module_versions(state_dict) or OrderedDict())
    return moved


def get_state_dict(
    module: nn.Module, destination: OrderedDict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
) -> OrderedDict[str, Any]:
    """Returns the weights of a model under their names in the unwrapped model.

    DistributedDataParallel and other wrappers add ``module.`` to the names, ``torch.compile`` adds ``_orig_mod.``;
    these additions are removed.

    Args:
        module: the model; it or its submodules may be compiled or wrapped, for example in DistributedDataParallel.
        destination: dict that the weights are added to; None (default) returns a new one.
        prefix: prefix of all names.
        keep_vars: whether the values are the parameters themselves (True) or detached tensors (False, default).
    """
    inner = unwrap(module)
    state: Any = inner.state_dict(prefix=prefix, keep_vars=keep_vars)
    for wrapped, plain in wrapper_prefixes(inner, prefix.rstrip(".")):
        for key in [key for key in state if key.startswith(wrapped)]:
            state[plain + key[len(wrapped) :]] = state.pop(key)
    if destination is None:
        named_state: OrderedDict[str, Any] = state
        return named_state
    destination.update(state)
    return destination
