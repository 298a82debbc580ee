"""Creates parameter groups as MMEngine 0.10.7 does, because configs of libraries and their published results need them.

They differ from those of eng in four points:

- ``bias_decay_mult`` also applies to biases of normalization layers, unless ``norm_decay_mult`` is set.
- Only batch, instance, group and layer norms count as normalization layers.
- A group and the log contain only values that a rule sets.
- A shared parameter without ``bypass_duplicate`` is in two groups, which the optimizer rejects.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.optim.optimizer._paramwise import custom_key_of, is_deformable

# torch has no public name for the common base classes of its normalization layers.
from ..utils.dl_utils.parrots_wrapper import _BatchNorm, _InstanceNorm

logger = logging.getLogger("eng.optim.optimizer.default_constructor")
_NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)


class OfDefaultOptimWrapperConstructor:
    """Members of :class:`eng.optim.DefaultOptimWrapperConstructor` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    def add_params(
        self: Any,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = "",
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Adds one parameter group per parameter of a module and its submodules, with learning rate and weight decay.

        Args:
            params: the list to which the groups are added.
            module: the module.
            prefix: dotted name of the module in the model.
            is_dcn_module: whether the module is a child of a deformable convolution.
        """
        rules = self.paramwise_cfg
        for name, parameter in module.named_parameters(recurse=False):
            group: dict[str, Any] = {"params": [parameter]}
            path = f"{prefix}.{name}" if prefix else name
            if rules.get("bypass_duplicate", False) and self._is_in(group, params):
                logger.warning("%s is duplicate. It is skipped since bypass_duplicate=True", path)
                continue
            if not parameter.requires_grad:
                logger.warning("%s is frozen (requires_grad=False) and gets no update", path)
                continue
            key = custom_key_of(f"{prefix}.{name}", rules.get("custom_keys") or {})
            if key is None:
                group |= values_by_kind(self, module, name, prefix, parameter.ndim, bool(is_dcn_module))
            else:
                self._used_keys.add(key)
                group |= custom_values(self, rules["custom_keys"][key])
            group = with_general_factors(self, group)
            params.append(group)
            for option, value in group.items():
                if option != "params":
                    logger.info("paramwise_options -- %s:%s=%s", path, option, value)
        for name, child in module.named_children():
            path = f"{prefix}.{name}" if prefix else name
            self.add_params(params, child, prefix=path, is_dcn_module=is_deformable(module))


def with_general_factors(constructor: Any, group: dict[str, Any]) -> dict[str, Any]:
    """Returns a parameter group whose learning rate and weight decay are multiplied by the factors for all parameters.

    The factors are the entries ``lr_mult`` and ``decay_mult`` of ``paramwise_cfg``.
    """
    scaled = dict(group)
    for option, base, rule in (
        ("lr", constructor.base_lr, "lr_mult"),
        ("weight_decay", constructor.base_wd, "decay_mult"),
    ):
        factor = constructor.paramwise_cfg.get(rule, 1.0)
        if factor != 1.0 and base is not None:
            scaled[option] = group.get(option, base) * factor
    return scaled


def custom_values(constructor: Any, custom: Mapping[str, Any]) -> dict[str, Any]:
    """Returns learning rate, weight decay and other options for parameters that match an entry of ``custom_keys``.

    Args:
        constructor: the optimizer wrapper constructor, which has the base learning rate and weight decay.
        custom: the entry of ``custom_keys``, such as ``dict(lr_mult=0.1)``.
    """
    values: dict[str, Any] = {}
    if constructor.base_lr is not None or "lr_mult" in custom:
        values["lr"] = constructor.base_lr * custom.get("lr_mult", 1.0)
    if constructor.base_wd is not None:
        values["weight_decay"] = constructor.base_wd * custom.get("decay_mult", 1.0)
    return {**values, **custom}


def values_by_kind(
    constructor: Any, module: nn.Module, name: str, prefix: str, ndim: int, in_deformable: bool
) -> dict[str, Any]:
    """Returns learning rate and weight decay of a parameter that matches no entry of ``custom_keys``, by its type.

    The types are: bias, normalization layer, offset of a deformable convolution, depthwise convolution, and parameters
    with one dimension. Only values that a rule changes are returned.
    """
    rules = constructor.paramwise_cfg
    is_norm = isinstance(module, _NORMS)
    is_bias = name == "bias" and not in_deformable
    is_offset = in_deformable and "conv_offset" in prefix and isinstance(module, nn.Conv2d)
    is_depthwise = isinstance(module, nn.Conv2d) and module.in_channels == module.groups
    values: dict[str, Any] = {}
    if is_bias and not is_norm and rules.get("bias_lr_mult") is not None:
        values["lr"] = constructor.base_lr * rules["bias_lr_mult"]
    if is_offset and rules.get("dcn_offset_lr_mult") is not None:
        values["lr"] = constructor.base_lr * rules["dcn_offset_lr_mult"]
    if constructor.base_wd is None:
        return values
    for applies, rule in (
        (is_norm, "norm_decay_mult"),
        (is_bias, "bias_decay_mult"),
        (is_depthwise, "dwconv_decay_mult"),
        (ndim == 1 and not in_deformable, "flat_decay_mult"),
    ):
        if applies and rules.get(rule) is not None:
            values["weight_decay"] = constructor.base_wd * rules[rule]
            break
    return values


MEMBERS = {"DefaultOptimWrapperConstructor": OfDefaultOptimWrapperConstructor}
