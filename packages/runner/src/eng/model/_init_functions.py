"""Functions that initialise ``weight`` and ``bias`` of a single module; a module without them is not changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .errors import ModelValueError


def _fill(module: nn.Module, fill: Callable[[torch.Tensor], Any], bias: float) -> None:
    """Fills the module's ``weight`` by calling ``fill``, and its ``bias`` with a constant, if the module has them."""
    weight: Any = getattr(module, "weight", None)
    if weight is not None:
        fill(weight)
    offset: Any = getattr(module, "bias", None)
    if offset is not None:
        nn.init.constant_(offset, bias)


def _check_distribution(distribution: str) -> None:
    if distribution not in ("uniform", "normal"):
        raise ModelValueError(f"distribution must be 'uniform' or 'normal', got {distribution!r}")


def constant_init(module: nn.Module, val: float, bias: float = 0) -> None:
    """Sets all weights to ``val`` and all biases to ``bias``.

    Examples:
        >>> layer = nn.Linear(1, 1)
        >>> constant_init(layer, 2)
        >>> layer.weight.item(), layer.bias.item()
        (2.0, 0.0)
    """
    _fill(module, lambda weight: nn.init.constant_(weight, val), bias)


def xavier_init(module: nn.Module, gain: float = 1, bias: float = 0, distribution: str = "normal") -> None:
    """Initialises the weight with the variance ``gain² · 2 / (fan_in + fan_out)``, and the bias with a constant.

    Raises:
        ValueError: ``distribution`` is neither ``"uniform"`` nor ``"normal"``.

    Source: Glorot and Bengio 2010, section 4.2.1.
    """
    _check_distribution(distribution)
    fill = {"uniform": nn.init.xavier_uniform_, "normal": nn.init.xavier_normal_}[distribution]
    _fill(module, lambda weight: fill(weight, gain=gain), bias)


def normal_init(module: nn.Module, mean: float = 0, std: float = 1, bias: float = 0) -> None:
    """Initialises the weight from a normal distribution, and the bias with a constant."""
    _fill(module, lambda weight: nn.init.normal_(weight, mean, std), bias)


def trunc_normal_init(
    module: nn.Module, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, bias: float = 0
) -> None:
    """Initialises the weight from a normal distribution truncated to [``a``, ``b``], and the bias with a constant."""
    _fill(module, lambda weight: trunc_normal_(weight, mean, std, a, b), bias)


def uniform_init(module: nn.Module, a: float = 0, b: float = 1, bias: float = 0) -> None:
    """Initialises the weight from a uniform distribution from ``a`` to ``b``, and the bias with a constant."""
    _fill(module, lambda weight: nn.init.uniform_(weight, a, b), bias)


def kaiming_init(
    module: nn.Module,
    a: float = 0,
    mode: Any = "fan_out",
    nonlinearity: Any = "relu",
    bias: float = 0,
    distribution: str = "normal",
) -> None:
    """Initialises the weight so that layers followed by rectifiers preserve the variance, and the bias with a constant.

    Args:
        module: the layer.
        a: negative slope of the rectifier that follows the layer.
        mode: ``"fan_in"`` preserves the variance in the forward, ``"fan_out"`` in the backward.
        nonlinearity: the rectifier, ``"relu"`` or ``"leaky_relu"``.
        bias: value of the bias.
        distribution: ``"normal"`` or ``"uniform"``.

    Raises:
        ValueError: ``distribution`` is neither ``"uniform"`` nor ``"normal"``.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    _check_distribution(distribution)
    fill = {"uniform": nn.init.kaiming_uniform_, "normal": nn.init.kaiming_normal_}[distribution]
    _fill(module, lambda weight: fill(weight, a=a, mode=mode, nonlinearity=nonlinearity), bias)


def caffe2_xavier_init(module: nn.Module, bias: float = 0) -> None:
    """Initialises the weight like Caffe2's ``XavierFill``, uniform in ``±sqrt(3 / fan_in)``; the bias is constant."""
    kaiming_init(module, a=1, mode="fan_in", nonlinearity="leaky_relu", bias=bias, distribution="uniform")


def bias_init_with_prob(prior_prob: float) -> float:
    """Returns the bias for which a sigmoid of the bias is ``prior_prob``.

    Examples:
        >>> round(bias_init_with_prob(0.01), 3)
        -4.595
    """
    return float(-math.log((1 - prior_prob) / prior_prob))


def trunc_normal_(
    tensor: torch.Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> torch.Tensor:
    """Fills ``tensor`` from a normal distribution truncated to [``a``, ``b``], which are not multiples of ``std``.

    The values are drawn with the inverse of the distribution function, as in MMEngine, so that a seed gives the same
    weights with every version of torch. ``torch.nn.init.trunc_normal_`` of torch 2.13 draws other values.
    """
    lower, upper = (2 * _normal_cdf((limit - mean) / std) - 1 for limit in (a, b))
    with torch.no_grad():
        tensor.uniform_(lower, upper).erfinv_().mul_(std * math.sqrt(2.0)).add_(mean).clamp_(min=a, max=b)
    return tensor


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0
