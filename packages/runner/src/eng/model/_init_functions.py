"""Functions that initialise ``weight`` and ``bias`` of a single module; a module without them is not changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .errors import ModelValueError


def _fill(module: nn.Module, fill: Callable[[torch.Tensor], Any], bias: float) -> None:
    """Calls ``fill`` with the module's ``weight``, and sets all elements of the module's ``bias`` to ``bias``.

    A module without a ``weight`` or without a ``bias`` is accepted; the missing parameter is skipped.
    """
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
    """Sets all elements of the module's ``weight`` to ``val`` and all elements of its ``bias`` to ``bias``.

    Examples:
        >>> layer = nn.Linear(1, 1)
        >>> constant_init(layer, 2)
        >>> layer.weight.item(), layer.bias.item()
        (2.0, 0.0)
    """
    _fill(module, lambda weight: nn.init.constant_(weight, val), bias)


def xavier_init(module: nn.Module, gain: float = 1, bias: float = 0, distribution: str = "normal") -> None:
    """Draws the module's weight with mean 0 and variance ``gain² · 2 / (fan_in + fan_out)``; sets its bias to ``bias``.

    Raises:
        ValueError: ``distribution`` is neither ``"uniform"`` nor ``"normal"``.

    Source: Glorot and Bengio 2010, section 4.2.1.
    """
    _check_distribution(distribution)
    fill = {"uniform": nn.init.xavier_uniform_, "normal": nn.init.xavier_normal_}[distribution]
    _fill(module, lambda weight: fill(weight, gain=gain), bias)


def normal_init(module: nn.Module, mean: float = 0, std: float = 1, bias: float = 0) -> None:
    """Draws the module's weight from a normal distribution, and sets all elements of its bias to ``bias``."""
    _fill(module, lambda weight: nn.init.normal_(weight, mean, std), bias)


def trunc_normal_init(
    module: nn.Module, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, bias: float = 0
) -> None:
    """Draws the module's weight from a normal distribution truncated to [``a``, ``b``]; sets its bias to ``bias``."""
    _fill(module, lambda weight: trunc_normal_(weight, mean, std, a, b), bias)


def uniform_init(module: nn.Module, a: float = 0, b: float = 1, bias: float = 0) -> None:
    """Draws the module's weight from a uniform distribution between ``a`` and ``b``; sets its bias to ``bias``."""
    _fill(module, lambda weight: nn.init.uniform_(weight, a, b), bias)


def kaiming_init(
    module: nn.Module,
    a: float = 0,
    mode: Any = "fan_out",
    nonlinearity: Any = "relu",
    bias: float = 0,
    distribution: str = "normal",
) -> None:
    """Draws a layer's weight with Kaiming initialisation, and sets all elements of its bias to ``bias``.

    The standard deviation of the weight is chosen so that a stack of such layers, each followed by a ReLU or leaky
    ReLU, preserves the variance of the activations or of the gradients.

    Args:
        module: the layer.
        a: negative slope of the leaky ReLU that follows the layer; ignored with ``nonlinearity="relu"``.
        mode: ``"fan_in"`` preserves the variance of the activations in the forward pass, ``"fan_out"`` the variance of
            the gradients in the backward pass.
        nonlinearity: the activation function that follows the layer, ``"relu"`` or ``"leaky_relu"``.
        bias: value of all elements of the bias.
        distribution: distribution that the weight is drawn from, ``"normal"`` or ``"uniform"``.

    Raises:
        ValueError: ``distribution`` is neither ``"uniform"`` nor ``"normal"``.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    _check_distribution(distribution)
    fill = {"uniform": nn.init.kaiming_uniform_, "normal": nn.init.kaiming_normal_}[distribution]
    _fill(module, lambda weight: fill(weight, a=a, mode=mode, nonlinearity=nonlinearity), bias)


def caffe2_xavier_init(module: nn.Module, bias: float = 0) -> None:
    """Draws the module's weight like Caffe2's ``XavierFill``, and sets all elements of its bias to ``bias``.

    The weight is uniform between ``-sqrt(3 / fan_in)`` and ``sqrt(3 / fan_in)``.
    """
    kaiming_init(module, a=1, mode="fan_in", nonlinearity="leaky_relu", bias=bias, distribution="uniform")


def bias_init_with_prob(prior_prob: float) -> float:
    """Returns the bias whose sigmoid is ``prior_prob``, so that a classifier predicts this probability at the start.

    Examples:
        >>> round(bias_init_with_prob(0.01), 3)
        -4.595
    """
    return float(-math.log((1 - prior_prob) / prior_prob))


def trunc_normal_(
    tensor: torch.Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> torch.Tensor:
    """Fills ``tensor`` in place with samples of a normal distribution truncated to [``a``, ``b``].

    ``a`` and ``b`` are absolute values, not multiples of ``std``. The samples are computed from uniform ones by the
    inverse of the cumulative distribution function, as in MMEngine, so that a seed gives the same weights with every
    version of torch. ``torch.nn.init.trunc_normal_`` of torch 2.13 draws other samples for the same seed.
    """
    lower, upper = (2 * _normal_cdf((limit - mean) / std) - 1 for limit in (a, b))
    with torch.no_grad():
        tensor.uniform_(lower, upper).erfinv_().mul_(std * math.sqrt(2.0)).add_(mean).clamp_(min=a, max=b)
    return tensor


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0
