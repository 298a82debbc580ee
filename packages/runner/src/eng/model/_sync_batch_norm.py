"""Synchronised batch normalisation for CPUs, since torch's SyncBatchNorm refuses to train on CPUs."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as torch_dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class CpuSyncBatchNorm(_BatchNorm):
    """``torch.nn.SyncBatchNorm`` for CPUs: normalises with the mean and variance over the batches of all ranks.

    The parameters, the running statistics and their names are those of ``torch.nn.SyncBatchNorm``. CpuSyncBatchNorm
    does not derive from ``torch.nn.SyncBatchNorm``, because ``DistributedDataParallel`` refuses SyncBatchNorm on CPUs.

    Example:
        >>> CpuSyncBatchNorm(2).eval()(torch.ones(4, 2)).shape  # evaluation uses what was gathered in training
        torch.Size([4, 2])

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167; over devices: Peng et al. 2018, arXiv:1711.07240.
    """

    process_group: Any = None

    def _check_input_dim(self, input: torch.Tensor) -> None:  # Both names come from torch.
        if input.dim() < 2:
            raise ValueError(f"expected inputs of shape (N, C, ...), got {tuple(input.shape)}")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns the inputs, normalised by the batch statistics of all ranks in training, else the running statistics.

        Args:
            inputs: this rank's batch ``(N, C, ...)``; N may differ between ranks.
        """
        if not self.training or not torch_dist.is_initialized():
            return super().forward(inputs)
        self._check_input_dim(inputs)
        # The statistics of 16-bit inputs are computed in float32, as torch.nn.SyncBatchNorm does.
        values = inputs
        if inputs.dtype in (torch.float16, torch.bfloat16):
            values = inputs.float()
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
        """Updates the running mean and the running variance with the statistics of a batch.

        ``variance`` is divided by ``count``, the number of elements per channel; the running variance uses, as in
        torch, the unbiased estimate, which is divided by ``count - 1``.
        """
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:
            share = 1.0 / float(self.num_batches_tracked)
        sample_variance = variance * (count / (count - 1).clamp(min=1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(sample_variance.to(self.running_var.dtype), share)


def let_cpus_synchronise(model: nn.Module) -> nn.Module:
    """Changes the class of all SyncBatchNorm layers of a model to :class:`CpuSyncBatchNorm`, and returns the model.

    ``torch.nn.SyncBatchNorm`` refuses to train on CPUs. The layers keep their parameters and running statistics.
    """
    for part in model.modules():
        if isinstance(part, nn.SyncBatchNorm):
            part.__class__ = CpuSyncBatchNorm  # type: ignore[assignment]  # the same attributes
    return model


def _statistics(values: torch.Tensor, group: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns each channel's mean ``(C,)`` and variance ``(C,)``, and the number of elements per channel.

    The three results are computed over the ``values`` ``(N, C, ...)`` of all ranks of the process group.
    """
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
    """Sums a tensor over the ranks of a process group; the backward sums the gradient over the same ranks."""

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
