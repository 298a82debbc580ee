"""The model inside of what is wrapped around it."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from eng.registry import MODEL_WRAPPERS

from .torch_internals import compiled_module


def unwrap(module: nn.Module) -> nn.Module:
    """The model inside data-parallel wrappers and compiled modules.

    A wrapper is known by its class (torch's, or one in MODEL_WRAPPERS), not by a child called ``module``, which any model
    may have.

    Examples:
        >>> layer = nn.Linear(1, 1)
        >>> unwrap(nn.DataParallel(layer)) is layer, unwrap(layer) is layer
        (True, True)
    """
    while (inner := wrapped_in(module)) is not None:
        module = inner
    return module


def weights_owner(module: nn.Module) -> nn.Module:
    """The model that the names of a checkpoint's weights begin at.

    It is the model inside wrappers, and inside a model for test-time augmentation, whose class has a true attribute
    ``weights_in_module``: its checkpoint is that of the model which it wraps.
    """
    module = unwrap(module)
    while getattr(type(module), "weights_in_module", False):
        inner: Any = module.module
        module = unwrap(inner)
    return module


def model_name(module: nn.Module) -> str:
    """How a model is called in messages: by the class that its user knows, inside wrappers.

    A model may have an attribute ``shown_name``, as one that eng puts around a user's module has.

    Example:
        >>> model_name(nn.DataParallel(nn.Linear(1, 1)))
        'Linear'
    """
    bare = unwrap(module)
    name = getattr(bare, "shown_name", None)
    if isinstance(name, str):
        return name
    model_class = type(bare)
    if [base.__name__ for base in model_class.__bases__[:-1]] == [
        "FSDPModule"
    ]:  # fully_shard derives a class from the user's
        model_class = model_class.__bases__[-1]
    return model_class.__name__


def name_in_checkpoint(model: nn.Module, name: str) -> str:
    """The name that a weight of a model has in checkpoints.

    A model may have a method ``checkpoint_name(name)`` that gives it, as one that leaves out a prefix has.
    """
    rename: Any = getattr(model, "checkpoint_name", None)
    return str(rename(name)) if callable(rename) else name


def wrapped_in(module: nn.Module) -> nn.Module | None:
    """What `module` is wrapped around; None where it is no wrapper."""
    compiled = compiled_module(module)
    if compiled is not None:
        return compiled
    inner = getattr(module, "module", None)
    wrappers = (DataParallel, DistributedDataParallel, *wrapper_classes(MODEL_WRAPPERS))
    return inner if isinstance(module, wrappers) and isinstance(inner, nn.Module) else None


def wrapper_classes(registry: Any) -> tuple[type, ...]:
    """The classes of a registry of wrappers and of its children."""
    classes = [wrapper_class for wrapper_class in registry.module_dict.values() if isinstance(wrapper_class, type)]
    return (
        *classes,
        *(wrapper_class for child in registry.children.values() for wrapper_class in wrapper_classes(child)),
    )
