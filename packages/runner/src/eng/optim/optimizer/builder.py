"""Build an optimizer wrapper from its config."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.device import is_npu_available, is_npu_support_full_precision
from eng.optim.errors import OptimTypeError
from eng.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS

from ._by_name import names_of_package, register_optimizers, torch_optimizers

__all__ = ["OPTIMIZERS", "OPTIM_WRAPPER_CONSTRUCTORS", "TORCH_OPTIMIZERS", "build_optim_wrapper", "names_of_package"]

register_optimizers()
TORCH_OPTIMIZERS = list(torch_optimizers())


def build_optim_wrapper(model: nn.Module, cfg: Mapping[str, Any]) -> Any:
    """Builds the optimizer of a model's parameters, and the optimizer wrapper, from the config ``optim_wrapper``.

    Args:
        model: the model whose parameters are optimized.
        cfg: a dict with ``optimizer`` (the config of the optimizer), ``type`` (class of the optimizer wrapper, by
            default ``"OptimWrapper"``), the wrapper's arguments, ``constructor`` (class that builds both, by default
            ``"DefaultOptimWrapperConstructor"``) and ``paramwise_cfg`` (rules for single parameters, which the
            constructor applies). The config is not changed.

    Returns:
        the optimizer wrapper that the constructor returns; the wrapper knows the names of the parameters in ``model``.

    Raises:
        OptimTypeError: ``cfg`` is no mapping (a TypeError).
        Exception: whatever the optimizer, the wrapper or the constructor raises; see :func:`eng.registry.build_from_cfg`.

    Examples:
        >>> wrapper = build_optim_wrapper(nn.Linear(1, 1), dict(optimizer=dict(type="SGD", lr=0.1), clip_grad=dict(max_norm=1)))
        >>> wrapper.get_lr()
        {'lr': [0.1]}
    """
    if not isinstance(cfg, Mapping):
        raise OptimTypeError(
            f"optim_wrapper must be a mapping such as dict(optimizer=dict(type='SGD', ...)), got {cfg!r}"
        )
    wrapper_cfg = copy.deepcopy(cfg)
    constructor = wrapper_cfg.pop("constructor", "DefaultOptimWrapperConstructor")  # type: ignore[attr-defined]  # a dict
    paramwise_cfg = wrapper_cfg.pop("paramwise_cfg", None)  # type: ignore[attr-defined]  # a dict
    if is_npu_available() and not is_npu_support_full_precision():
        wrapper_cfg["type"] = "AmpOptimWrapper"  # type: ignore[index]  # a dict
    construct = OPTIM_WRAPPER_CONSTRUCTORS.build(
        {"type": constructor, "optim_wrapper_cfg": wrapper_cfg, "paramwise_cfg": paramwise_cfg}
    )
    optim_wrapper = construct(model)
    if hasattr(optim_wrapper, "name_parameters"):
        optim_wrapper.name_parameters(model)
    return optim_wrapper
