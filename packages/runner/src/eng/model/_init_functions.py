"""Initialisation of one module's ``weight`` and ``bias``; a module without them is left alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .errors import ModelValueError


def _weight(module: nn.Module, fill: Callable[[torch.Tensor], Any], bias: float) -> None:
    """Fills ``weight`` by ``fill`` and ``bias`` with a constant, where the module has them."""
    weight: Any = getattr(module, "weight", None)
    if weight is not None:
        fill(weight)
    offset: Any = getattr(module, "bias", None)
    if offset is not None:
        nn.init.constant_(offset, bias)


def _checked(distribution: str) -> str:
    if distribution not in ("uniform", "normal"):
        raise ModelValueError(f"distribution must be 'uniform' or 'normal', got {distribution!r}")
    return distribution


def constant_init(module: nn.Module, val: float, bias: float = 0) -> None:
    """Weight ``val``, bias ``bias``.

    Examples:
        >>> layer = nn.Linear(1, 1)
        >>> constant_init(layer, 2)
        >>> layer.weight.item(), layer.bias.item()
        (2.0, 0.0)
    """
    _weight(module, lambda weight: nn.init.constant_(weight, val), bias)


def xavier_init(module: nn.Module, gain: float = 1, bias: float = 0, distribution: str = "normal") -> None:
    """Weight of variance ``gain² · 2 / (fan_in + fan_out)``.

    Raises:
        ValueError: ``distribution`` is neither ``"uniform"`` nor ``"normal"``.

    Source: Glorot and Bengio 2010, section 4.2.1.
    """
    fill = nn.init.xavier_uniform_ if _checked(distribution) == "uniform" else nn.init.xavier_normal_
    _weight(module, lambda weight: fill(weight, gain=gain), bias)


def normal_init(module: nn.Module, mean: float = 0, std: float = 1, bias: float = 0) -> None:
    """Weight from a normal distribution."""
    _weight(module, lambda weight: nn.init.normal_(weight, mean, std), bias)


def trunc_normal_init(
    module: nn.Module, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, bias: float = 0
) -> None:
    """Weight from a normal distribution cut off at ``a`` and ``b``."""
    _weight(module, lambda weight: trunc_normal_(weight, mean, std, a, b), bias)


def uniform_init(module: nn.Module, a: float = 0, b: float = 1, bias: float = 0) -> None:
    """Weight evenly from ``a`` to ``b``."""
    _weight(module, lambda weight: nn.init.uniform_(weight, a, b), bias)


def kaiming_init(
    module: nn.Module,
    a: float = 0,
    mode: Any = "fan_out",
    nonlinearity: Any = "relu",
    bias: float = 0,
    distribution: str = "normal",
) -> None:
    """Weight that keeps the variance through rectifiers.

    Args:
        module: the layer.
        a: slope below 0 of the rectifier behind it.
        mode: ``"fan_in"`` keeps the variance forward, ``"fan_out"`` backward.
        nonlinearity: the rectifier, ``"relu"`` or ``"leaky_relu"``.
        bias: constant for the bias.
        distribution: ``"normal"`` or ``"uniform"``.

    Raises:
        ValueError: ``distribution`` is neither.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    fill = nn.init.kaiming_uniform_ if _checked(distribution) == "uniform" else nn.init.kaiming_normal_
    _weight(module, lambda weight: fill(weight, a=a, mode=mode, nonlinearity=nonlinearity), bias)


def caffe2_xavier_init(module: nn.Module, bias: float = 0) -> None:
    """Caffe2's ``XavierFill``: evenly within ``±sqrt(3 / fan_in)``."""
    kaiming_init(module, a=1, mode="fan_in", nonlinearity="leaky_relu", bias=bias, distribution="uniform")


def bias_init_with_prob(prior_prob: float) -> float:
    """The bias with which a sigmoid gives ``prior_prob``.

    Examples:
        >>> round(bias_init_with_prob(0.01), 3)
        -4.595
    """
    return float(-math.log((1 - prior_prob) / prior_prob))


def trunc_normal_(
    tensor: torch.Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> torch.Tensor:
    """Fills ``tensor`` from a normal distribution cut off at ``a`` and ``b`` (values, not multiples of ``std``).

    The values are drawn by the inverse of the distribution function, as MMEngine draws them, so that a seed gives the same
    weights with every version of torch; ``torch.nn.init.trunc_normal_`` of torch 2.13 draws others.
    """
    lower, upper = (2 * _normal_cdf((limit - mean) / std) - 1 for limit in (a, b))
    with torch.no_grad():
        tensor.uniform_(lower, upper).erfinv_().mul_(std * math.sqrt(2.0)).add_(mean).clamp_(min=a, max=b)
    return tensor


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0
