"""What counts as a wrapper."""

from __future__ import annotations

from typing import Any

from torch import nn

from eng.registry import MODEL_WRAPPERS


def is_model_wrapper(model: nn.Module, registry: Any = MODEL_WRAPPERS) -> bool:
    """Whether ``model`` is a wrapper, such as DistributedDataParallel, around the model in its ``module``.

    Args:
        model: a module.
        registry: where wrappers are registered; its children are asked too.

    Examples:
        >>> is_model_wrapper(nn.Linear(1, 1)), is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)))
        (False, True)
    """
    kinds = tuple(kind for kind in registry.module_dict.values() if isinstance(kind, type))
    if isinstance(model, kinds):
        return True
    return any(is_model_wrapper(model, child) for child in registry.children.values())
