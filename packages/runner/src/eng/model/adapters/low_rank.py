"""Build models with PEFT adapters (LoRA and others) from a config, and merge adapters for use without PEFT."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.logging.optional import optional_module
from eng.model.errors import ModelTypeError
from eng.registry import MODELS

from .libraries import by_prefix


def peft_model(model: Any, adapter: Any, **kwargs: Any) -> nn.Module:
    """Builds a model with frozen weights and trainable PEFT adapters.

    Args:
        model: the base model, a module or the config of a module, such as ``dict(type="transformers", ...)``.
        adapter: a config object of PEFT, or a mapping with the name of PEFT's config class and the arguments of the
            class, such as ``dict(type="LoraConfig", r=8)``.
        **kwargs: arguments of ``peft.get_peft_model``.

    Raises:
        ImportError: PEFT is not installed.
        TypeError: ``adapter`` is a mapping whose ``type`` is not the name of a class of PEFT.
    """
    library = optional_module("peft", "model=dict(type='peft', ...)")
    base = model
    if isinstance(model, Mapping):
        base = MODELS.build(by_prefix(model))
    if isinstance(adapter, Mapping):
        arguments = dict(adapter)
        name = arguments.pop("type", None)
        if not isinstance(name, str) or not hasattr(library, name):
            raise ModelTypeError(
                f"adapter is a config of PEFT, such as dict(type='LoraConfig', r=8), got type={name!r}: PEFT has no such class"
            )
        adapter = getattr(library, name)(**arguments)
    built: nn.Module = library.get_peft_model(base, adapter, **kwargs)
    return built


def merged_model(model: nn.Module) -> nn.Module:
    """Returns a copy of the base model with the PEFT adapters merged into its weights.

    The copy can be saved and used without PEFT.

    Args:
        model: a PEFT model, or a model such as a :class:`SupervisedModel` that wraps a PEFT model. The model is not
            changed.

    Raises:
        TypeError: the model has no adapters.
    """
    network: Any = model
    while not hasattr(network, "merge_and_unload"):
        inner = getattr(network, "network", None) or getattr(network, "module", None)
        if not isinstance(inner, nn.Module):
            raise ModelTypeError(f"{type(model).__name__} holds no adapters of PEFT that could be merged")
        network = inner
    merged: nn.Module = copy.deepcopy(network).merge_and_unload()
    return merged


MODELS.register_module("peft", module=peft_model)
