"""``mmengine.visualization.utils``: what libraries import from there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .colors import to_rgb


def tensor2ndarray(value: np.ndarray | torch.Tensor) -> np.ndarray:
    """An array, from a tensor on any device or an array."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def color_val_matplotlib(colors: Any) -> Any:
    """Colours as matplotlib takes them: names stay, three numbers from 0 to 255 become 0 to 1; lists too.

    Raises:
        TypeError: something else.
    """
    if isinstance(colors, str):
        return colors
    if isinstance(colors, tuple):
        return tuple(channel / 255 for channel in colors)
    if isinstance(colors, list):
        return [color_val_matplotlib(color) for color in colors]
    raise TypeError(f"a colour is a name, three numbers from 0 to 255, or a list of them, not {colors!r}")


def color_str2rgb(color: str) -> tuple[int, ...]:
    """Three numbers from 0 to 255 of a colour's name."""
    rgb = to_rgb(color)
    if rgb is None:
        raise ValueError("'none' is no colour")
    return rgb


def img_from_canvas(canvas: Any) -> np.ndarray:
    """The picture on a matplotlib canvas, (height, width, 3) uint8, RGB."""
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
