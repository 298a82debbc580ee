"""Build models of timm, torchvision and transformers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.logging.optional import optional_module
from eng.registry import MODELS

PREFIXES = ("timm", "torchvision", "transformers")


def timm_model(name: str, **kwargs: Any) -> nn.Module:
    """Builds a model of timm.

    Args:
        name: name of the model for ``timm.create_model``, such as ``"resnet18"``.
        **kwargs: arguments of ``timm.create_model``, such as ``num_classes=10`` or ``pretrained=True``.

    Raises:
        ImportError: timm is not installed.
    """
    model: nn.Module = _library("timm").create_model(name, **kwargs)
    return model


def torchvision_model(name: str, **kwargs: Any) -> nn.Module:
    """Builds a model of torchvision.

    Args:
        name: name of the model for ``torchvision.models.get_model``, such as ``"resnet18"``.
        **kwargs: arguments of the model, such as ``num_classes=10`` or ``weights="DEFAULT"``.

    Raises:
        ImportError: torchvision is not installed.
    """
    model: nn.Module = _library("torchvision.models").get_model(name, **kwargs)
    return model


def transformers_model(name: str, config: Any = None, from_pretrained: str | None = None, **kwargs: Any) -> nn.Module:
    """Builds a model of transformers, from a checkpoint or with new weights.

    Args:
        name: name of a class, such as ``"BertForSequenceClassification"`` or ``"AutoModelForCausalLM"``.
        config: a config object of transformers, or a mapping with the arguments of the config class, to which an
            ``Auto...`` class needs ``model_type`` too.
        from_pretrained: folder or hub name of a checkpoint, which is passed to the method ``from_pretrained`` of the
            class. None (default) builds a model with new weights.
        **kwargs: further arguments of the method ``from_pretrained``; without a checkpoint, further arguments of the
            config class.

    Raises:
        ImportError: transformers is not installed.
        TypeError: both ``config`` as a mapping and ``from_pretrained`` are given.
    """
    library = _library("transformers")
    cls = getattr(library, name)
    if from_pretrained is not None:
        if isinstance(config, Mapping):
            raise TypeError(f"{name}: from_pretrained={from_pretrained!r} brings its config; leave config out")
        if config is not None:
            kwargs["config"] = config
        loaded: nn.Module = cls.from_pretrained(from_pretrained, **kwargs)
        return loaded
    if config is None or isinstance(config, Mapping):
        config = _config_of(library, cls, {**(config or {}), **kwargs})
    if hasattr(cls, "from_config"):
        built: nn.Module = cls.from_config(config)
    else:
        built = cls(config)
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
    """Converts a model's config such as ``dict(type="timm.resnet18")`` to ``dict(type="timm", name="resnet18")``.

    The prefix of the type is ``timm``, ``torchvision`` or ``transformers``; configs with other types are returned
    unchanged. A config whose type is the dotted path of an existing object, such as ``"torchvision.models.resnet18"``,
    is returned unchanged too, unless the type is a class of transformers and the config has ``config`` or
    ``from_pretrained``, which :func:`transformers_model` takes.
    """
    model_type: Any = model.get("type")
    if not isinstance(model_type, str):
        return model
    library, dot, name = model_type.partition(".")
    if not dot or library not in PREFIXES or MODELS.get(library) is None:
        return model
    takes_mapping = library == "transformers" and "." not in name and {"config", "from_pretrained"} & set(model)
    if not takes_mapping and MODELS.get(model_type) is not None:
        return model
    # ConfigDict.copy returns a ConfigDict, which knows its file and line, so that a build error can name them.
    changed: Any = dict(model)
    if hasattr(model, "copy"):
        changed = model.copy()
    changed.update(type=library, name=name.removeprefix("models."))
    return changed


def _library(module: str) -> Any:
    return optional_module(module, f"model=dict(type={module.partition('.')[0]!r}, ...)")
