"""Feature maps as pictures."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from eng.logging.errors import UsageError, UsageTypeError

from .canvas import cv2
from .images import as_rgb

# C channels, H height, W width.

_REDUCTIONS = ("squeeze_mean", "select_max")


def draw_featmap(
    featmap: torch.Tensor,
    overlaid_image: np.ndarray | None = None,
    channel_reduction: str | None = "squeeze_mean",
    topk: int = 20,
    arrangement: tuple[int, int] = (4, 5),
    resize_shape: tuple[int, int] | None = None,
    alpha: float = 0.5,
) -> np.ndarray:
    """A feature map as a heat map, alone or over an image.

    Args:
        featmap: (C, H, W) floating point.
        overlaid_image: over which the map is laid, as in :func:`~eng.visualization.images.as_rgb`; the map is resized to it.
        channel_reduction: ``"squeeze_mean"`` averages the channels, ``"select_max"`` takes the one with the largest sum,
            None shows several beside one another.
        topk: without reduction, how many channels with the largest sums to show; 0 or less shows all, for C of 1 or 3.
        arrangement: rows and columns of the pictures beside one another.
        resize_shape: height and width that map and image are resized to.
        alpha: share of the map where it lies over an image.

    Returns:
        (h, w, 3) uint8 RGB.

    Raises:
        TypeError: `featmap` is no tensor.
        ValueError: it has not three dimensions, an unknown reduction, or an arrangement too small for `topk`.
    """
    if not isinstance(featmap, torch.Tensor):
        raise UsageTypeError(f"featmap must be a tensor, got {type(featmap).__name__}")
    if featmap.dim() != 3:
        raise UsageError(f"featmap must be (C, H, W), got {tuple(featmap.shape)}")
    if channel_reduction is not None and channel_reduction not in _REDUCTIONS:
        raise UsageError(
            f"channel_reduction must be None or one of {', '.join(_REDUCTIONS)}, got {channel_reduction!r}"
        )
    map_CHW, image = _aligned(featmap.detach().float().cpu(), overlaid_image, resize_shape)
    if channel_reduction == "squeeze_mean":
        return heat(map_CHW.mean(dim=0).numpy(), image, alpha)
    if channel_reduction == "select_max":
        return heat(map_CHW[_largest(map_CHW, 1)[0]].numpy(), image, alpha)
    return _side_by_side(map_CHW, image, topk, arrangement, alpha)


def _aligned(
    map_CHW: torch.Tensor, image: np.ndarray | None, shape: tuple[int, int] | None
) -> tuple[torch.Tensor, np.ndarray | None]:
    """Map and image in one size: that of `shape`, or else of the image, or else of the map."""
    pixels = None if image is None else as_rgb(image)
    if pixels is not None and shape is not None and tuple(shape) != pixels.shape[:2]:
        pixels = cv2().resize(pixels, (shape[1], shape[0]))
    target = shape if pixels is None else pixels.shape[:2]
    if target is None or tuple(map_CHW.shape[1:]) == tuple(target):
        return map_CHW, pixels
    return F.interpolate(map_CHW[None], tuple(target), mode="bilinear", align_corners=False)[0], pixels


def _largest(map_CHW: torch.Tensor, count: int) -> torch.Tensor:
    return map_CHW.sum(dim=(1, 2)).topk(min(count, len(map_CHW))).indices


def _side_by_side(
    map_CHW: torch.Tensor, image: np.ndarray | None, topk: int, arrangement: tuple[int, int], alpha: float
) -> np.ndarray:
    """The feature map as one heat map, or its `topk` largest channels in a grid."""
    channels = len(map_CHW)
    if topk <= 0:
        if channels not in (1, 3):
            raise UsageError(
                f"topk={topk} shows a map of 1 or 3 channels as it is; this one has {channels}: set topk or channel_reduction"
            )
        return heat(map_CHW.mean(dim=0).numpy(), image, alpha)
    rows, columns = arrangement
    if rows * columns < topk:
        raise UsageError(f"an arrangement of {rows} x {columns} has no room for topk={topk} pictures")
    pictures = [heat(channel.numpy(), image, alpha) for channel in map_CHW[_largest(map_CHW, topk)]]
    blank = np.full_like(pictures[0], 255)
    pictures += [blank] * (rows * columns - len(pictures))
    return np.concatenate([np.concatenate(pictures[r * columns : (r + 1) * columns], axis=1) for r in range(rows)])


def heat(map_HW: np.ndarray, image: np.ndarray | None, alpha: float) -> np.ndarray:
    """A map in the colours from blue (least) to red (most), over an image where there is one."""
    span = map_HW.max() - map_HW.min()
    scaled = (map_HW - map_HW.min()) / (span if span > 0 else 1)
    colored = cv2().applyColorMap((scaled * 255).astype(np.uint8), cv2().COLORMAP_JET)[..., ::-1]
    if image is None:
        return np.ascontiguousarray(colored)
    laid_over: np.ndarray = np.rint(image * (1 - alpha) + colored * alpha).astype(np.uint8)
    return laid_over
