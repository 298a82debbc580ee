"""Converts weights and images to channels-last memory format, in which convolutions are fastest."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from eng.checkpoint.torch_internals import tree_map_only

__all__ = ["use_channels_last"]

_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def use_channels_last(model: nn.Module, *, keep_weights: bool = False) -> None:
    """Converts the weights of convolutions, and the images from the data preprocessor, to channels-last memory format.

    Shapes stay the same. Results differ by rounding errors, because other kernels sum in another order.

    Args:
        model: the model, before it is wrapped.
        keep_weights: whether weights are not converted, for a strategy that can only shard contiguous weights.
    """
    if not keep_weights:
        for parameter in model.parameters():
            parameter.data = _channels_last(parameter.data)
    preprocessor = dict(model.named_children()).get("data_preprocessor")
    if isinstance(preprocessor, nn.Module):
        preprocessor.register_forward_hook(_convert_outputs)


def _convert_outputs(module: nn.Module, inputs: object, outputs: object) -> Any:
    """A forward hook of the data preprocessor: returns its outputs with images in channels-last memory format."""
    return tree_map_only(torch.Tensor, _channels_last, outputs)


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    """Converts a tensor of 4 or 5 dimensions with floating-point numbers; returns every other tensor unchanged."""
    memory_format = _FORMATS.get(tensor.dim())
    if memory_format is None or not tensor.is_floating_point() or tensor.layout is not torch.strided:
        return tensor
    return tensor.contiguous(memory_format=memory_format)
