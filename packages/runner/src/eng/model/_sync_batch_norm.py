"""Synchronised batch normalisation that also works on CPUs, where torch's own refuses to train."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as torch_dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class CpuSyncBatchNorm(_BatchNorm):
    """What ``torch.nn.SyncBatchNorm`` is on accelerators, for CPUs: statistics over all ranks.

    Weights, statistics and their names are those of torch's class. It does not derive from it, as
    ``DistributedDataParallel`` refuses that class on CPUs.

    Example:
        >>> CpuSyncBatchNorm(2).eval()(torch.ones(4, 2)).shape  # evaluation uses what was gathered in training
        torch.Size([4, 2])

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167; over devices: Peng et al. 2018, arXiv:1711.07240.
    """

    process_group: Any = None

    def _check_input_dim(self, input: torch.Tensor) -> None:  # torch's name
        if input.dim() < 2:
            raise ValueError(f"expected inputs of shape (N, C, ...), got {tuple(input.shape)}")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The normalised inputs.

        Args:
            inputs: ``(N, C, ...)``; N may differ over the ranks.
        """
        if not self.training or not torch_dist.is_initialized():
            return super().forward(inputs)
        self._check_input_dim(inputs)
        # As torch's own: statistics of half precision are taken in float32.
        values = inputs.float() if inputs.dtype in (torch.float16, torch.bfloat16) else inputs
        mean, variance, count = _statistics(values, self.process_group)
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach(), count)
        shape = (1, -1, *[1] * (inputs.dim() - 2))
        scale = (variance + self.eps).rsqrt()
        shift = -mean * scale
        if self.affine:
            weight, bias = self.weight.to(values.dtype), self.bias.to(values.dtype)
            scale, shift = scale * weight, shift * weight + bias
        return (values * scale.view(shape) + shift.view(shape)).to(inputs.dtype)

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor, count: torch.Tensor) -> None:
        """Moves the running statistics; they take the variance of a sample, as torch's do."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        sample_variance = variance * (count / (count - 1).clamp(min=1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(sample_variance.to(self.running_var.dtype), share)


def let_cpus_synchronise(model: nn.Module) -> nn.Module:
    """The model with torch's SyncBatchNorm layers, which refuse CPUs, turned into :class:`CpuSyncBatchNorm` in place."""
    for part in model.modules():
        if isinstance(part, nn.SyncBatchNorm):
            part.__class__ = CpuSyncBatchNorm  # type: ignore[assignment]  # the same attributes
    return model


def _statistics(values: torch.Tensor, group: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean ``(C,)``, variance ``(C,)`` and number of the elements of each channel, over all ranks."""
    axes = [axis for axis in range(values.dim()) if axis != 1]
    count_here = values.new_tensor([values.numel() / values.shape[1]])
    sums = _sum_over_ranks(torch.cat([values.sum(axes), count_here]), group)
    count = sums[-1].detach()
    mean = sums[:-1] / count
    deviations = values - mean.view(1, -1, *[1] * (values.dim() - 2))
    variance = _sum_over_ranks(deviations.square().sum(axes), group) / count
    return mean, variance, count


def _sum_over_ranks(value: torch.Tensor, group: Any) -> torch.Tensor:
    total: torch.Tensor = _SumOverRanks.apply(value, group)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return total


class _SumOverRanks(torch.autograd.Function):
    """The sum over all ranks; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, group: Any) -> torch.Tensor:
        ctx.group = group
        total = value.clone()
        torch_dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        total = gradients[0].clone()
        torch_dist.all_reduce(total, group=ctx.group)
        return total, None
