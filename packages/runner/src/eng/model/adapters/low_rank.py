"""Models with adapters of PEFT (LoRA and others): built from a config, and merged for use without PEFT."""

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
    """A model whose weights are frozen, with adapters of PEFT that are trained.

    Args:
        model: the base: a module, or the config of one, such as ``dict(type="transformers", ...)``.
        adapter: the config of PEFT: an object, or its class with arguments, ``dict(type="LoraConfig", r=8)``.
        **kwargs: of ``peft.get_peft_model``.

    Raises:
        ImportError: PEFT is not installed.
        TypeError: ``adapter`` is a mapping without the name of a class of PEFT.
    """
    library = optional_module("peft", "model=dict(type='peft', ...)")
    base = MODELS.build(by_prefix(model)) if isinstance(model, Mapping) else model
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
    """A copy of the base model with the adapters of PEFT merged into its weights; it needs PEFT no more.

    Args:
        model: a model of PEFT, or a run's model around one. It stays as it is.

    Raises:
        TypeError: there are no adapters in it.
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
