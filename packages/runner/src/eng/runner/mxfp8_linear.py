"""A linear layer that multiplies in MXFP8; importing this module needs torchao 0.18 or newer."""

from __future__ import annotations

import torch
from torch import nn
from torchao.prototype.moe_training.mxfp8_linear import mx_mm
from torchao.prototype.mx_formats.config import (
    MXFP8Dim0CastKernelChoice,
    MXFP8Dim1CastKernelChoice,
    ScaleCalculationMode,
)
from torchao.quantization.quantize_.common.kernel_preference import KernelPreference
from torchao.utils import is_sm_at_least_100

_BLOCK_SIZE = 32


class MXFP8Linear(nn.Linear):
    """A linear layer that computes its output and the gradient of its input in MXFP8, through torchao.

    Under autocast, input and weight are cast to the dtype of autocast first, as ``nn.Linear`` does. torchao 0.18 has a
    layer of the same name, which fails under autocast if the input is in bfloat16 and the weight in float32. torchao's
    ``quantize_`` with ``MXFP8TrainingOpConfig`` is not used either, because it ignores the bias.

    Args:
        linear: the layer that is replaced. The new layer uses the same parameters.
        wgrad_with_hp: whether the gradient of the weight is computed in the dtype of the input (True) or in MXFP8
            (False). For MXFP8, the product of all dimensions of the input but the last must be a multiple of 32.
    """

    def __init__(self, linear: nn.Linear, wgrad_with_hp: bool) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.train(linear.training)
        self.wgrad_with_hp = wgrad_with_hp
        self.kernels = KernelPreference.EMULATED  # PyTorch's own operators, on any device
        if is_sm_at_least_100():
            self.kernels = KernelPreference.AUTO

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """See ``nn.Linear``."""
        weight, device_type = self.weight, input.device.type
        if torch.is_autocast_enabled(device_type):
            dtype = torch.get_autocast_dtype(device_type)
            input, weight = input.to(dtype), weight.to(dtype)
        output: torch.Tensor = mx_mm.apply(
            input,
            weight,
            *[torch.float8_e4m3fn] * 3,  # of input, weight and gradient
            _BLOCK_SIZE,
            self.kernels,
            MXFP8Dim0CastKernelChoice.TRITON,
            MXFP8Dim1CastKernelChoice.CUDA,
            ScaleCalculationMode.RCEIL,
            self.wgrad_with_hp,
        )
        if self.bias is None:
            return output
        return output + self.bias.to(output.dtype)
