"""Computes which share of a device's peak arithmetic performance a training uses (MFU)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.analysis.complexity_analysis import FlopAnalyzer


def model_flops_per_iter(
    model: nn.Module,
    inputs: torch.Tensor | tuple[Any, ...] | Mapping[str, Any],
    *,
    forward_kwargs: Mapping[str, Any] | None = None,
    backward: bool = True,
) -> int:
    """Counts the floating-point operations of one iteration; a multiply-add counts as two, as vendors count.

    Args:
        model: the module in training mode.
        inputs: one batch.
        forward_kwargs: further keyword arguments of forward.
        backward: whether to include the backward pass. Recomputation (activation checkpointing) is not counted.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model_flops_per_iter(nn.Linear(8, 4), torch.zeros(2, 8), backward=False)
        128
    """
    analyzer = FlopAnalyzer(model, inputs, forward_kwargs=forward_kwargs, backward=backward, convention="flops")
    return analyzer.total()


def model_flops_utilization(flops_per_iter: float, seconds_per_iter: float, peak_flops: float) -> float:
    """Returns the model flops utilization (MFU): the share, 0 to 1, of the peak performance that the model uses.

    Args:
        flops_per_iter: flops of one iteration on all devices, from `model_flops_per_iter` with the global batch.
        seconds_per_iter: wall-clock time of an iteration.
        peak_flops: peak operations per second of all devices in the precision used, from the data sheet.

    Raises:
        ValueError: `seconds_per_iter` or `peak_flops` is not positive.

    Source: Chowdhery et al. 2022 (PaLM, arXiv:2204.02311), section 4.1.

    Example:
        >>> model_flops_utilization(4e12, 0.02, 1e15)
        0.2
    """
    if seconds_per_iter <= 0 or peak_flops <= 0:
        raise ValueError(f"need a positive time and peak, got {seconds_per_iter} s and {peak_flops} flop/s")
    return flops_per_iter / seconds_per_iter / peak_flops
