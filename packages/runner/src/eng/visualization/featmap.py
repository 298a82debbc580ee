"""draw_featmap: shows feature maps as heat maps."""

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
    """Draws a feature map as a heat map, alone or over an image.

    Args:
        featmap: (C, H, W) floating point.
        overlaid_image: image under the heat map, in one of the forms of :func:`~eng.visualization.images.as_rgb`. The
            feature map is resized to the image.
        channel_reduction: ``"squeeze_mean"`` averages the channels, ``"select_max"`` shows the channel with the largest
            sum of values, None shows several channels in a grid.
        topk: if ``channel_reduction`` is None, the number of channels in the grid, those with the largest sums. With 0
            or less the channels are averaged, which is allowed only for a map of 1 or 3 channels.
        arrangement: rows and columns of the grid.
        resize_shape: height and width to which feature map and image are resized; None keeps the size of the image, or
            without an image that of the map.
        alpha: opacity of the heat map over an image.

    Returns:
        The picture, (h, w, 3) uint8 RGB.

    Raises:
        TypeError: ``featmap`` is not a tensor.
        ValueError: ``featmap`` does not have three dimensions, the reduction is unknown, or the grid is too small for
            ``topk``.
    """
    if not isinstance(featmap, torch.Tensor):
        raise UsageTypeError(f"featmap must be a tensor, got {type(featmap).__name__}")
    if featmap.dim() != 3:
        raise UsageError(f"featmap must be (C, H, W), got {tuple(featmap.shape)}")
    if channel_reduction is not None and channel_reduction not in _REDUCTIONS:
        raise UsageError(
            f"channel_reduction must be None or one of {', '.join(_REDUCTIONS)}, got {channel_reduction!r}"
        )
    map_CHW, image = _match_sizes(featmap.detach().float().cpu(), overlaid_image, resize_shape)
    if channel_reduction == "squeeze_mean":
        return heat(map_CHW.mean(dim=0).numpy(), image, alpha)
    if channel_reduction == "select_max":
        return heat(map_CHW[_largest(map_CHW, 1)[0]].numpy(), image, alpha)
    return _side_by_side(map_CHW, image, topk, arrangement, alpha)


def _match_sizes(
    map_CHW: torch.Tensor, image: np.ndarray | None, shape: tuple[int, int] | None
) -> tuple[torch.Tensor, np.ndarray | None]:
    """Resizes feature map and image to ``shape``; if ``shape`` is None, resizes the feature map to the image's size."""
    pixels, target = None, shape
    if image is not None:
        pixels = as_rgb(image)
        if shape is not None and tuple(shape) != pixels.shape[:2]:
            pixels = cv2().resize(pixels, (shape[1], shape[0]))
        target = pixels.shape[:2]
    if target is None or tuple(map_CHW.shape[1:]) == tuple(target):
        return map_CHW, pixels
    return F.interpolate(map_CHW[None], tuple(target), mode="bilinear", align_corners=False)[0], pixels


def _largest(map_CHW: torch.Tensor, count: int) -> torch.Tensor:
    return map_CHW.sum(dim=(1, 2)).topk(min(count, len(map_CHW))).indices


def _side_by_side(
    map_CHW: torch.Tensor, image: np.ndarray | None, topk: int, arrangement: tuple[int, int], alpha: float
) -> np.ndarray:
    """Draws the ``topk`` channels with the largest sums of values in a grid; with ``topk <= 0`` the channels' mean.

    Raises:
        ValueError: the grid has less than ``topk`` cells, or ``topk <= 0`` and the map has not 1 or 3 channels.
    """
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
    """Draws an array of values as a heat map, from blue (smallest value) to red (largest value).

    Args:
        map_HW: the values, of any range.
        image: RGB image under the heat map; None returns the heat map alone.
        alpha: opacity of the heat map over the image.
    """
    span = map_HW.max() - map_HW.min()
    if span <= 0:
        span = 1
    scaled = (map_HW - map_HW.min()) / span
    colored = cv2().applyColorMap((scaled * 255).astype(np.uint8), cv2().COLORMAP_JET)[..., ::-1]
    if image is None:
        return np.ascontiguousarray(colored)
    laid_over: np.ndarray = np.rint(image * (1 - alpha) + colored * alpha).astype(np.uint8)
    return laid_over
