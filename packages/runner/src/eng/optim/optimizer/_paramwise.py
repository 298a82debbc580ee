"""Compute the learning rate and weight decay of a parameter from the rules of ``paramwise_cfg``."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from eng.logging.near_names import suggest
from eng.optim.errors import OptimError, OptimTypeError

KNOWN = (
    "custom_keys",
    "lr_mult",
    "decay_mult",
    "bias_lr_mult",
    "bias_decay_mult",
    "norm_decay_mult",
    "dwconv_decay_mult",
    "flat_decay_mult",
    "bypass_duplicate",
    "dcn_offset_lr_mult",
)
_NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)
_DEFORMABLE = {"DeformConv2d", "ModulatedDeformConv2d"}


@dataclass(frozen=True)
class Place:
    """Where a parameter is in the model, from which the rules of ``paramwise_cfg`` for the parameter follow.

    Attributes:
        name: name of the parameter in its module, such as ``bias``.
        prefix: dotted name of the module in the model, such as ``backbone.layer1``.
        module: the module that owns the parameter.
        in_deformable: whether the module is a child of a deformable convolution.
        ndim: number of dimensions of the parameter.
    """

    name: str
    prefix: str
    module: nn.Module
    in_deformable: bool
    ndim: int

    @property
    def path(self) -> str:
        """The dotted name of the parameter in the model, such as ``backbone.layer1.bias``."""
        if self.prefix:
            return f"{self.prefix}.{self.name}"
        return self.name


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalisation layer of torch, or another module with a running mean and variance."""
    return isinstance(module, _NORMS) or (hasattr(module, "running_mean") and hasattr(module, "running_var"))


def is_deformable(module: nn.Module) -> bool:
    """Whether a module is a deformable convolution of mmcv, judged by its class name, since mmcv is optional."""
    return any(cls.__name__ in _DEFORMABLE for cls in type(module).__mro__)


def custom_key_of(path: str, custom_keys: Mapping[str, Any]) -> str | None:
    """Returns the longest key of ``custom_keys`` that is part of a parameter's name, or None if there is no such key.

    Of two keys with the same length the alphabetically first is returned.

    Examples:
        >>> custom_key_of("backbone.layer0.weight", {"backbone": {}, "backbone.layer0": {}})
        'backbone.layer0'
        >>> custom_key_of("cls_token", {".cls_token": {}})
        '.cls_token'
    """
    # MMEngine puts a dot before the name of a parameter that the model itself owns, so configs have keys such as
    # '.cls_token'. The same is done here, so that such keys match.
    rooted = path if "." in path else f".{path}"
    return next((key for key in sorted(sorted(custom_keys), key=len, reverse=True) if key in rooted), None)


def options(
    site: Place, rules: Mapping[str, Any], base_lr: float | None, base_wd: float | None
) -> tuple[dict[str, Any], str | None]:
    """Computes the settings of a parameter's own parameter group from the rules of ``paramwise_cfg``.

    Args:
        site: where the parameter is in the model.
        rules: the setting ``paramwise_cfg``.
        base_lr: ``lr`` of the optimizer's config; None if the config has no ``lr``.
        base_wd: ``weight_decay`` of the optimizer's config; None if the config has no ``weight_decay``.

    Returns:
        the settings of the group, such as ``lr`` and ``weight_decay``, and the key of ``custom_keys`` that decided
        them; None if no key is part of the parameter's name.

    Raises:
        OptimError: a rule multiplies a value that the optimizer's config does not give.
    """
    key = custom_key_of(f"{site.prefix}.{site.name}", rules.get("custom_keys") or {})
    if key is None:
        custom: Mapping[str, Any] = {}
        lr_mult = _lr_mult(site, rules)
        decay_mult = _decay_mult(site, rules)
    else:
        custom = rules["custom_keys"][key]
        lr_mult = custom.get("lr_mult", 1.0)
        decay_mult = custom.get("decay_mult", 1.0)
    values = {}
    for name, base, mult, general in (
        ("lr", base_lr, lr_mult, rules.get("lr_mult", 1.0)),
        ("weight_decay", base_wd, decay_mult, rules.get("decay_mult", 1.0)),
    ):
        if base is not None:
            values[name] = base * mult * general
        elif name == "lr" and mult * general != 1.0:
            raise OptimError(f"paramwise_cfg multiplies the lr of {site.path}, but the optimizer's config has no lr")
    return {**values, **custom}, key


def logged(site: Place, rules: Mapping[str, Any], custom_key: str | None) -> set[str]:
    """Returns which of ``lr`` and ``weight_decay`` are written to the log for a parameter.

    The selection follows the log that MMEngine's manual shows in chapter 17: both settings for biases and for
    parameters with a custom key, ``weight_decay`` for normalisation layers, and no setting for weights without a rule.
    """
    if custom_key is not None:
        return {"lr", "weight_decay"}
    norm = is_norm(site.module)
    bias = site.name == "bias" and not norm and not site.in_deformable
    lr = bias or "lr_mult" in rules or _lr_mult(site, rules) != 1.0
    weight_decay = bias or norm or "decay_mult" in rules or _decay_mult(site, rules) != 1.0
    return {name for name, shown in (("lr", lr), ("weight_decay", weight_decay)) if shown}


def _lr_mult(site: Place, rules: Mapping[str, Any]) -> float:
    is_offset = site.in_deformable and "conv_offset" in site.prefix and isinstance(site.module, nn.Conv2d)
    if is_offset and rules.get("dcn_offset_lr_mult") is not None:
        return rules["dcn_offset_lr_mult"]  # type: ignore[no-any-return]  # a number of the config
    if site.name == "bias" and not is_norm(site.module) and not site.in_deformable:
        return _factor(rules, "bias_lr_mult")
    return 1.0


def _decay_mult(site: Place, rules: Mapping[str, Any]) -> float:
    """Returns the factor that multiplies a parameter's weight decay: that of the first rule that applies, or 1.

    The order of the rules is: normalisation layer, bias, depthwise convolution, parameter with one dimension. A rule
    that ``paramwise_cfg`` does not set is skipped.
    """
    norm = is_norm(site.module)
    module = site.module
    depthwise = isinstance(module, nn.Conv2d) and module.in_channels == module.groups
    for applies, rule in (
        (norm, "norm_decay_mult"),
        (site.name == "bias" and not norm and not site.in_deformable, "bias_decay_mult"),
        (depthwise, "dwconv_decay_mult"),
        (site.ndim == 1 and not site.in_deformable, "flat_decay_mult"),
    ):
        if applies and rules.get(rule) is not None:
            return rules[rule]  # type: ignore[no-any-return]  # a number of the config
    return 1.0


def _factor(rules: Mapping[str, Any], rule: str) -> float:
    value = rules.get(rule)
    if value is None:
        return 1.0
    return value  # type: ignore[no-any-return]  # a number of the config


def _check_factor(rule: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise OptimTypeError(f"paramwise_cfg.{rule} must be a number, got {value!r}")


def _check_custom(key: str, values: Any, group_values: Collection[str] | None) -> None:
    """Checks the settings that ``custom_keys`` has for a key.

    A setting that the optimizer's groups do not know is an error only if its name is similar to a known name, since the
    setting may be misspelt.
    """
    where = f"custom_keys[{key!r}]"
    if not isinstance(values, Mapping):
        raise OptimTypeError(f"paramwise_cfg.{where} must be a mapping such as dict(lr_mult=0.1), got {values!r}")
    for name, value in values.items():
        if name in ("lr_mult", "decay_mult"):
            _check_factor(f"{where}.{name}", value)
        elif group_values is not None and name not in group_values:
            known = ["lr_mult", "decay_mult", *group_values]
            if not difflib.get_close_matches(name, known, n=1, cutoff=0.8):
                # A hook may read an unknown setting from the parameter group; mmpretrain's SimSiam hook reads fix_lr.
                # So an unknown setting is accepted.
                continue
            raise OptimError(f"paramwise_cfg.{where}: a parameter group has no {name!r}{suggest(name, known)}")


def check_rules(rules: Any, base_wd: float | None, group_values: Collection[str] | None = None) -> None:
    """Raises an error if the rules of ``paramwise_cfg`` have wrong types or cannot be applied to the optimizer.

    Args:
        rules: the setting ``paramwise_cfg``.
        base_wd: ``weight_decay`` of the optimizer's config; None if the config has no ``weight_decay``.
        group_values: names of the settings that a parameter group of the optimizer may have; None allows all names.

    Raises:
        OptimTypeError: ``paramwise_cfg``, its ``custom_keys`` or the value of a custom key is not a mapping, or a
            factor is not a number.
        OptimError: a custom key misspells the name of a group's setting, or a rule multiplies ``weight_decay``, which
            the optimizer's config does not set.
    """
    if not isinstance(rules, Mapping):
        raise OptimTypeError(f"paramwise_cfg must be a mapping or None, got {type(rules).__name__}")
    custom = rules.get("custom_keys", {})
    if not isinstance(custom, Mapping):
        raise OptimTypeError(f"paramwise_cfg.custom_keys must be a mapping, got {type(custom).__name__}")
    for rule, value in rules.items():
        if rule.endswith("_mult") and value is not None:
            _check_factor(rule, value)
    for key, values in custom.items():
        _check_custom(key, values, group_values)
    decays = [rule for rule in KNOWN if rule.endswith("decay_mult") and rule in rules]
    decays += [f"custom_keys[{key!r}].decay_mult" for key, value in custom.items() if "decay_mult" in value]
    if decays and base_wd is None:
        raise OptimError(
            f"paramwise_cfg.{decays[0]} multiplies weight_decay, which should not be None in the optimizer's config"
        )
