"""Lower precision: bfloat16 weights, and float8 or MXFP8 matrix products through torchao."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

import torch
from torch import nn

from eng.checkpoint.unwrap import model_name
from eng.logging.near_names import suggest
from eng.logging.words import counted

from .errors import SettingsError
from .module_patterns import names_by_pattern

__all__ = ["PrecisionSettings", "convert_precision"]

logger = logging.getLogger(__name__)
_MOST_NAMES = 8

_WEIGHTS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
# Recipes of torchao by the type of the products; the first is the default.
_RECIPES = {
    "float8": ("tensorwise", "rowwise", "rowwise_with_gw_hp"),
    "mxfp8": ("rceil_wgrad_with_hp", "rceil"),
}
# Kernels of float8 take sizes that are multiples of 16; 32 values of MXFP8 share a scale.
_MULTIPLES = {"float8": 16, "mxfp8": 32}


@dataclass(frozen=True, kw_only=True)
class PrecisionSettings:
    """The setting ``precision``: the types of weights and of matrix products."""

    weights: str | None = None
    """``"bfloat16"`` or ``"float32"`` converts the weights, see :class:`eng.optim.BFloat16OptimWrapper`; None does not."""
    linear: str | None = None
    """Type in which linear layers multiply, through torchao: ``"float8"`` or ``"mxfp8"``; None leaves them as they are."""
    recipe: str | None = None
    """How values are scaled. float8: ``"tensorwise"`` (default), ``"rowwise"`` or ``"rowwise_with_gw_hp"``. mxfp8:
    ``"rceil_wgrad_with_hp"`` (default), or ``"rceil"``, which computes gradients of weights in MXFP8 too."""
    modules: list[str] | str = "*"
    """Names of the linear layers to convert, with wildcards; layers whose sizes are no multiples of 16 (mxfp8: 32) and
    layers whose class has a ``forward`` of its own are left out."""
    skip: list[str] | str = ()  # type: ignore[assignment]  # none
    """Names of linear layers that stay as they are, with wildcards, such as ``"head"``."""

    @classmethod
    def of(cls, setting: object) -> PrecisionSettings | None:
        """Reads the settings from a mapping; returns None for an empty one.

        Raises:
            SettingsError: ``setting`` is no mapping, or a key or a value is unknown.
        """
        if not setting:
            return None
        if not isinstance(setting, Mapping):
            raise SettingsError(
                f"precision takes no {setting!r}: write precision=dict(weights='bfloat16') or precision=dict(linear='float8')"
            )
        known = [field.name for field in fields(cls)]
        for key in setting:
            if key not in known:
                raise SettingsError(f"precision takes no {key!r}{suggest(key, known)}")
        settings = cls(**setting)
        _check("weights", settings.weights, tuple(_WEIGHTS))
        _check("linear", settings.linear, tuple(_RECIPES))
        if settings.linear is not None:
            _check("recipe", settings.recipe, _RECIPES[settings.linear])
        elif settings.recipe or settings.skip or settings.modules != "*":
            raise SettingsError(
                "precision: recipe, modules and skip are of linear='float8' or 'mxfp8', which is missing"
            )
        return settings


def convert_precision(model: nn.Module, setting: Mapping[str, Any] | None) -> list[str]:
    """Converts weights and linear layers of a model in place; the names of modules and parameters stay the same.

    Args:
        model: the model, before it is wrapped and before its optimizer is built.
        setting: :class:`PrecisionSettings` as a mapping; None changes nothing.

    Returns:
        Names of the linear layers that multiply in float8 or MXFP8.

    Raises:
        SettingsError: a setting is unknown, no layer can be converted, or torchao is not installed.
    """
    settings = PrecisionSettings.of(setting)
    if settings is None:
        return []
    if settings.weights is not None:
        dtype = _WEIGHTS[settings.weights]
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(dtype)
    if settings.linear is None:
        return []
    recipe = settings.recipe or _RECIPES[settings.linear][0]
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear) and name}
    chosen = _named(layers, settings.modules, "modules") - _named(layers, settings.skip, "skip")
    names = {name for name in chosen if _is_replaceable(layers[name], _MULTIPLES[settings.linear])}
    converted = {name for name in chosen if _is_converted(layers[name], settings.linear)}
    if not names and not converted:
        raise SettingsError(
            f"precision=dict(linear={settings.linear!r}) fits no linear layer of {model_name(model)}: {len(chosen)} are named, and "
            f"sizes must be multiples of {_MULTIPLES[settings.linear]}, and a subclass of nn.Linear must not define a forward"
        )
    if settings.linear == "float8":
        _to_float8(model, names, recipe)
    else:
        _to_mxfp8(model, names, recipe)
    _log_layers(settings.linear, names, chosen - names - converted)
    return sorted(names | converted)


def _is_replaceable(layer: nn.Linear, multiple: int) -> bool:
    """Whether a layer's sizes are multiples of ``multiple`` and it computes as nn.Linear does.

    A layer that takes its place would not run a ``forward`` of a subclass or of the layer itself.
    """
    return _computes_as_linear(layer) and not any(size % multiple for size in layer.weight.shape)


def _computes_as_linear(layer: nn.Linear) -> bool:
    return type(layer).forward is nn.Linear.forward and "forward" not in vars(layer)


def _is_converted(layer: nn.Linear, linear: str) -> bool:
    """Whether a layer was converted before, as in the second Runner with the same model."""
    if _computes_as_linear(layer):
        return False
    if linear == "float8":
        return isinstance(layer, _float8().float8_linear.Float8Linear)
    return isinstance(layer, _mxfp8_linear())


def _log_layers(linear: str, names: set[str], left: set[str]) -> None:
    """Logs how many layers were converted, and which of the named layers stay as they are."""
    stay = ""
    if left:
        stay = f"; not converted, because their size does not fit or they define a forward: {', '.join(sorted(left)[:_MOST_NAMES])}"
    if len(left) > _MOST_NAMES:
        stay += f" and {len(left) - _MOST_NAMES} more"
    logger.info("precision: %s converted to %s%s", counted(len(names), "linear layer"), linear, stay)


def _named(layers: Mapping[str, nn.Module], patterns: list[str] | str, key: str) -> set[str]:
    def unknown(pattern: str) -> SettingsError:
        return SettingsError(f"precision {key}={pattern!r} names no linear layer{suggest(pattern, layers)}")

    return names_by_pattern(layers, patterns, unknown, with_members=True)


def _to_float8(model: nn.Module, names: set[str], recipe: str) -> None:
    """Replaces the named linear layers of a model by layers of torchao that multiply in float8.

    Raises:
        SettingsError: torchao is not installed.
    """
    float8 = _float8()
    config = float8.Float8LinearConfig.from_recipe_name(recipe)
    float8.convert_to_float8_training(model, config=config, module_filter_fn=lambda module, name: name in names)


def _to_mxfp8(model: nn.Module, names: set[str], recipe: str) -> None:
    """Replaces the named linear layers of a model by layers that multiply in MXFP8.

    Raises:
        SettingsError: torchao 0.18 or newer is not installed.
    """
    layer_class = _mxfp8_linear()
    for name in names:
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        model.set_submodule(name, layer_class(layer, wgrad_with_hp=recipe == "rceil_wgrad_with_hp"))


def _float8() -> Any:
    """Returns the module ``torchao.float8``.

    Raises:
        SettingsError: torchao is not installed, or does not work with this torch.
    """
    try:
        return import_module("torchao.float8")
    except ImportError as error:
        raise _missing(error) from error


def _mxfp8_linear() -> Any:
    """Returns the class of layers that multiply in MXFP8; its arguments are those of ``MXFP8Linear``.

    Raises:
        SettingsError: torchao 0.18 or newer is not installed, or does not work with this torch.
    """
    try:
        from .mxfp8_linear import MXFP8Linear
    except ImportError as error:
        raise _missing(error, " 0.18 or newer") from error
    return MXFP8Linear


def _missing(error: ImportError, version: str = "") -> SettingsError:
    """Returns the error for a torchao that is missing, too old, or made for another version of torch."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != "torch":
        return SettingsError(f"precision=dict(linear=...) needs torchao{version}: pip install torchao ({error})")
    return SettingsError(
        f"precision=dict(linear=...) needs torchao{version} that works with torch {torch.__version__}; the installed one "
        f"fails to import: {error}"
    )


def _check(key: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise SettingsError(f"precision: {key} must be one of {', '.join(map(repr, known))}, got {value!r}")
