"""Replaces ``mmengine.utils.dl_utils.misc``: checks for normalization layers, and conversion of batches to images."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import torch
from torch import nn

from eng.compat.errors import UsageError

# torch has no public name for the common base classes of its normalization layers.
from eng.compat.utils.dl_utils.parrots_wrapper import _BatchNorm, _InstanceNorm


def is_norm(layer: nn.Module, exclude: type | tuple[type, ...] | None = None) -> bool:
    """Whether a layer is a normalization layer (batch, instance, group or layer norm).

    Args:
        layer: the module.
        exclude: class or classes that do not count as normalization layers.

    Raises:
        TypeError: `exclude` is neither a class nor a tuple of classes.
    """
    excluded: tuple[Any, ...] = ()
    if exclude is not None:
        excluded = exclude if isinstance(exclude, tuple) else (exclude,)
    if not all(isinstance(cls, type) for cls in excluded):
        raise TypeError(f"exclude must be a class or a tuple of classes, got {exclude!r}")
    norms = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)
    return isinstance(layer, norms) and not isinstance(layer, excluded)


def has_batch_norm(model: nn.Module) -> bool:
    """Whether a model contains a batch norm layer."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def mmcv_full_available() -> bool:
    """Whether mmcv with its compiled operators is installed."""
    try:
        return importlib.util.find_spec("mmcv._ext") is not None
    except ModuleNotFoundError:
        return False


def tensor2imgs(
    tensor: torch.Tensor,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    to_bgr: bool = True,
) -> list[np.ndarray[Any, Any]]:
    """Converts a batch of normalized images back to images.

    Args:
        tensor: (N, C, H, W) batch with 1 or 3 channels.
        mean: mean of each channel that normalization subtracted; zeros by default.
        std: standard deviation of each channel by which normalization divided; ones by default.
        to_bgr: whether to convert RGB to BGR.

    Returns:
        A list of N arrays (H, W, C) float32.

    Raises:
        UsageError: `tensor` has another shape, `mean` or `std` has another number of channels, or `to_bgr` is set for
            images with one channel.
    """
    if not torch.is_tensor(tensor) or tensor.dim() != 4 or tensor.shape[1] not in (1, 3):
        raise UsageError(f"expected a batch (N, 1 or 3, H, W), got {getattr(tensor, 'shape', type(tensor).__name__)}")
    channels = tensor.shape[1]
    if channels == 1 and to_bgr:
        raise UsageError("to_bgr=True swaps three channels, and the images have one: call with to_bgr=False")
    offset = np.asarray(mean if mean is not None else (0.0,) * channels, dtype=np.float32)
    scale = np.asarray(std if std is not None else (1.0,) * channels, dtype=np.float32)
    if offset.shape != (channels,) or scale.shape != (channels,):
        raise UsageError(f"mean and std need {channels} numbers each, got {mean} and {std}")
    images_NHWC = tensor.detach().cpu().float().numpy().transpose(0, 2, 3, 1) * scale + offset
    return [np.ascontiguousarray(image[..., ::-1] if to_bgr else image) for image in images_NHWC]
