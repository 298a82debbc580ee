"""Models of timm, torchvision and transformers by name, where the library is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.logging.optional import optional_module
from eng.registry import MODELS

PREFIXES = ("timm", "torchvision", "transformers")


def timm_model(name: str, **kwargs: Any) -> nn.Module:
    """A model of timm.

    Args:
        name: as ``timm.create_model`` takes it, such as ``"resnet18"``.
        **kwargs: of ``timm.create_model``, such as ``num_classes=10`` or ``pretrained=True``.

    Raises:
        ImportError: timm is not installed.
    """
    model: nn.Module = _library("timm").create_model(name, **kwargs)
    return model


def torchvision_model(name: str, **kwargs: Any) -> nn.Module:
    """A model of torchvision.

    Args:
        name: as ``torchvision.models.get_model`` takes it, such as ``"resnet18"``.
        **kwargs: of the model, such as ``num_classes=10`` or ``weights="DEFAULT"``.

    Raises:
        ImportError: torchvision is not installed.
    """
    model: nn.Module = _library("torchvision.models").get_model(name, **kwargs)
    return model


def transformers_model(name: str, config: Any = None, from_pretrained: str | None = None, **kwargs: Any) -> nn.Module:
    """A model of transformers, from a checkpoint or with new weights.

    Args:
        name: a class, such as ``"BertForSequenceClassification"`` or ``"AutoModelForCausalLM"``.
        config: arguments of the model's config as a mapping (with ``model_type`` for a class ``Auto...``), or a config.
        from_pretrained: folder or name of a checkpoint; goes to the class's ``from_pretrained`` as it is.
        **kwargs: of ``from_pretrained``, or of the config where there is none.

    Raises:
        ImportError: transformers is not installed.
        TypeError: both ``config`` as a mapping and ``from_pretrained`` are given.
    """
    library = _library("transformers")
    cls = getattr(library, name)
    if from_pretrained is not None:
        if isinstance(config, Mapping):
            raise TypeError(f"{name}: from_pretrained={from_pretrained!r} brings its config; leave config out")
        config_argument = {} if config is None else {"config": config}
        loaded: nn.Module = cls.from_pretrained(from_pretrained, **config_argument, **kwargs)
        return loaded
    if config is None or isinstance(config, Mapping):
        config = _config_of(library, cls, {**(config or {}), **kwargs})
    built: nn.Module = cls.from_config(config) if hasattr(cls, "from_config") else cls(config)
    return built


def _config_of(library: Any, cls: Any, arguments: dict[str, Any]) -> Any:
    config_class = getattr(cls, "config_class", None)
    if config_class is None:
        return library.AutoConfig.for_model(**arguments)
    arguments.pop("model_type", None)
    return config_class(**arguments)


for _name, _function in zip(PREFIXES, (timm_model, torchvision_model, transformers_model), strict=True):
    MODELS.register_module(_name, module=_function)


def by_prefix(model: Mapping[str, Any]) -> Any:
    """The config of a model whose type is ``"timm.resnet18"`` or the like in the form of this module's functions.

    A dotted path that leads to something, such as ``"torchvision.models.resnet18"``, stays as it is; a class of transformers
    gets its config from a mapping.
    """
    model_type: Any = model.get("type")
    library, dot, name = model_type.partition(".") if isinstance(model_type, str) else ("", "", "")
    if not dot or library not in PREFIXES or MODELS.get(library) is None:
        return model
    takes_mapping = library == "transformers" and "." not in name and {"config", "from_pretrained"} & set(model)
    if not takes_mapping and MODELS.get(model_type) is not None:
        return model
    changed: Any = model.copy() if hasattr(model, "copy") else dict(model)
    changed.update(type=library, name=name.removeprefix("models."))
    return changed


def _library(module: str) -> Any:
    return optional_module(module, f"model=dict(type={module.partition('.')[0]!r}, ...)")
