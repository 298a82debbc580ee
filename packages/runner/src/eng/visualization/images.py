"""as_rgb: converts images of all common forms to (height, width, 3) uint8 RGB."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from eng.logging.errors import UsageError

__all__ = ["as_rgb"]


def as_rgb(image: Any) -> np.ndarray:
    """Converts an image to a new array (height, width, 3) uint8 RGB.

    Args:
        image: array or tensor, (height, width) or (height, width, 1) grey, (height, width, 3) RGB, or (height, width, 4)
            RGB with an alpha channel, which is dropped. Values range from 0 to 255; types other than uint8 are rounded and
            clipped, and True becomes 255.

    Raises:
        ValueError: ``image`` is None, has another shape, or does not contain numbers.

    Example:
        >>> as_rgb(np.full((2, 2), 7.6)).shape, int(as_rgb(np.full((2, 2, 1), 7.6)).max())
        ((2, 2, 3), 8)
    """
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu().numpy()
    shape = None
    if image is not None:
        image = np.asarray(image)
        shape = image.shape
    if shape is None or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        raise UsageError(f"an image is (height, width, 3), with 1 or 4 channels, or (height, width), got {shape}")
    array: np.ndarray = image
    if array.dtype.kind not in "buif":
        raise UsageError(f"an image holds numbers, got an array of {array.dtype}")
    if array.ndim == 2:
        array = array[..., None]
    pixels = _as_bytes(array)
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        return np.ascontiguousarray(pixels[..., :3])
    return pixels


def _as_bytes(array: np.ndarray) -> np.ndarray:
    """Converts an image to uint8: floating-point values are rounded and clipped to 0..255, True becomes 255."""
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
