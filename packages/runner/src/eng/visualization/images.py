"""Images of any usual form as (height, width, 3) uint8."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from eng.logging.errors import UsageError

__all__ = ["as_rgb"]


def as_rgb(image: Any) -> np.ndarray:
    """An image as (height, width, 3) uint8, RGB, in memory of its own.

    Args:
        image: array or tensor, (height, width) or (height, width, 1) grey, (height, width, 3) RGB, or (height, width, 4)
            RGB with an opacity, which is dropped. Numbers go from 0 to 255; those of another type than uint8 are rounded
            and clipped, and true is 255.

    Raises:
        ValueError: another shape, no pixel type, or None.

    Example:
        >>> as_rgb(np.full((2, 2), 7.6)).shape, int(as_rgb(np.full((2, 2, 1), 7.6)).max())
        ((2, 2, 3), 8)
    """
    array = image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else image
    array = None if array is None else np.asarray(array)
    if array is None or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        shape = getattr(array, "shape", None)
        raise UsageError(f"an image is (height, width, 3), with 1 or 4 channels, or (height, width), got {shape}")
    if array.dtype.kind not in "buif":
        raise UsageError(f"an image holds numbers, got an array of {array.dtype}")
    pixels = _as_bytes(array if array.ndim == 3 else array[..., None])
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels[..., :3]) if pixels.shape[2] == 4 else pixels


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """The image as uint8: rounded and cut off at 0 and 255."""
    if array.dtype == np.uint8:
        return array.copy()
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        array = np.nan_to_num(array, nan=0.0, posinf=255.0, neginf=0.0)
        if array.size and 0 < array.max() <= 1 and array.min() >= 0:
            warnings.warn(
                "an image of floating-point numbers up to 1 is nearly black: images go from 0 to 255, so multiply by 255",
                UserWarning,
                stacklevel=3,
            )
    pixels: np.ndarray = np.clip(np.rint(array), 0, 255).astype(np.uint8)
    return pixels
