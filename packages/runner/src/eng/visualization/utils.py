"""The functions that libraries import from ``mmengine.visualization.utils``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .colors import to_rgb


def tensor2ndarray(value: np.ndarray | torch.Tensor) -> np.ndarray:
    """Converts a tensor on any device to an array; returns an array unchanged."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    return value


def color_val_matplotlib(colors: Any) -> Any:
    """Converts colours to matplotlib's form: numbers from 0 to 255 become 0 to 1, names are unchanged; also in lists.

    Raises:
        TypeError: a colour is neither a name nor a tuple of numbers.
    """
    if isinstance(colors, str):
        return colors
    if isinstance(colors, tuple):
        return tuple(channel / 255 for channel in colors)
    if isinstance(colors, list):
        return [color_val_matplotlib(color) for color in colors]
    raise TypeError(f"a colour is a name, three numbers from 0 to 255, or a list of them, not {colors!r}")


def color_str2rgb(color: str) -> tuple[int, ...]:
    """Converts the name of a colour to RGB, three numbers from 0 to 255."""
    rgb = to_rgb(color)
    if rgb is None:
        raise ValueError("'none' is no colour")
    return rgb


def img_from_canvas(canvas: Any) -> np.ndarray:
    """Renders a matplotlib canvas as (height, width, 3) uint8 RGB."""
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
