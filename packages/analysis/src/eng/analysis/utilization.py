"""How much of a device's arithmetic a run uses."""

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
    """Floating-point operations of one iteration, a multiply-add as two, as vendors state them.

    Args:
        model: the module in training mode.
        inputs: one batch.
        forward_kwargs: further keyword arguments of the forward.
        backward: with the backward pass; recomputation is not counted, as the model does not need it.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model_flops_per_iter(nn.Linear(8, 4), torch.zeros(2, 8), backward=False)
        128
    """
    analyzer = FlopAnalyzer(model, inputs, forward_kwargs=forward_kwargs, backward=backward, convention="flops")
    return analyzer.total()


def model_flops_utilization(flops_per_iter: float, seconds_per_iter: float, peak_flops: float) -> float:
    """Share of the hardware's peak that goes into the model (MFU), 0 to 1.

    Args:
        flops_per_iter: of all devices together, from `model_flops_per_iter` and the global batch.
        seconds_per_iter: wall-clock time of an iteration.
        peak_flops: operations per second of all devices together in the precision used, from the data sheet.

    Raises:
        ValueError: a time or a peak that is not positive.

    Source: Chowdhery et al. 2022 (PaLM, arXiv:2204.02311), section 4.1.

    Example:
        >>> model_flops_utilization(4e12, 0.02, 1e15)
        0.2
    """
    if seconds_per_iter <= 0 or peak_flops <= 0:
        raise ValueError(f"need a positive time and peak, got {seconds_per_iter} s and {peak_flops} flop/s")
    return flops_per_iter / seconds_per_iter / peak_flops
