"""Find the model inside wrappers such as DistributedDataParallel and torch.compile."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from eng.registry import MODEL_WRAPPERS

from .torch_internals import compiled_module


def unwrap(module: nn.Module) -> nn.Module:
    """Returns the model inside data-parallel wrappers and compiled modules.

    A wrapper is recognised by its class (torch's, or one in MODEL_WRAPPERS), not by a submodule called ``module``,
    which any model may have.

    Examples:
        >>> layer = nn.Linear(1, 1)
        >>> unwrap(nn.DataParallel(layer)) is layer, unwrap(layer) is layer
        (True, True)
    """
    while (inner := wrapped_in(module)) is not None:
        module = inner
    return module


def weights_owner(module: nn.Module) -> nn.Module:
    """Returns the model whose ``state_dict`` a checkpoint holds.

    This is the model inside all wrappers. A class with a true attribute ``weights_in_module``, such as a model for
    test-time augmentation, counts as a wrapper of its submodule ``module``.
    """
    module = unwrap(module)
    while getattr(type(module), "weights_in_module", False):
        inner: Any = module.module
        module = unwrap(inner)
    return module


def model_name(module: nn.Module) -> str:
    """Returns the name of a model in messages: its attribute ``shown_name``, or the class name of the unwrapped model.

    Adapters of eng around a user's module have ``shown_name``, so that messages name the user's class.

    Example:
        >>> model_name(nn.DataParallel(nn.Linear(1, 1)))
        'Linear'
    """
    bare = unwrap(module)
    name = getattr(bare, "shown_name", None)
    if isinstance(name, str):
        return name
    model_class = type(bare)
    # fully_shard replaces the class of a module by a subclass of FSDPModule and the user's class, whose name is
    # returned.
    if [base.__name__ for base in model_class.__bases__[:-1]] == ["FSDPModule"]:
        model_class = model_class.__bases__[-1]
    return model_class.__name__


def name_in_checkpoint(model: nn.Module, name: str) -> str:
    """Returns the name under which a checkpoint holds the weight `name` of a model.

    A model with a method ``checkpoint_name(name)`` decides this name itself, for example to leave out a prefix. For
    any other model the name is returned unchanged.
    """
    rename: Any = getattr(model, "checkpoint_name", None)
    if callable(rename):
        return str(rename(name))
    return name


def wrapped_in(module: nn.Module) -> nn.Module | None:
    """Returns the module that `module` wraps; None if `module` is no wrapper."""
    compiled = compiled_module(module)
    if compiled is not None:
        return compiled
    inner = getattr(module, "module", None)
    wrappers = (DataParallel, DistributedDataParallel, *wrapper_classes(MODEL_WRAPPERS))
    if isinstance(module, wrappers) and isinstance(inner, nn.Module):
        return inner
    return None


def wrapper_classes(registry: Any) -> tuple[type, ...]:
    """Returns the classes in a registry of wrappers and in its child registries."""
    classes = [wrapper_class for wrapper_class in registry.module_dict.values() if isinstance(wrapper_class, type)]
    for child in registry.children.values():
        classes.extend(wrapper_classes(child))
    return tuple(classes)
