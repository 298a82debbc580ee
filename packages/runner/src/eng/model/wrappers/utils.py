"""Recognise distributed wrappers of models."""

from __future__ import annotations

from typing import Any

from torch import nn

from eng.checkpoint.unwrap import wrapper_classes
from eng.registry import MODEL_WRAPPERS


def is_model_wrapper(model: nn.Module, registry: Any = MODEL_WRAPPERS) -> bool:
    """Whether ``model`` is a wrapper, such as DistributedDataParallel, around another model, its attribute ``module``.

    Args:
        model: the module to check.
        registry: the registry whose classes count as wrappers; the classes of its child registries count too.

    Examples:
        >>> is_model_wrapper(nn.Linear(1, 1)), is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)))
        (False, True)
    """
    return isinstance(model, wrapper_classes(registry))
