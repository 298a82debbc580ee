"""Argument checks and heat maps that libraries import from ``mmengine.visualization.utils``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class NotAMapError(ValueError, AssertionError):
    """The shape of an array is not that of a feature map."""


Types = type[Any] | tuple[type[Any], ...]


def value2list(value: Any, valid_type: Types, expand_dim: int) -> Any:
    """Repeats a single value `expand_dim` times in a list; returns a list unchanged.

    Args:
        value: a single value, or a list of values.
        valid_type: type or types of a single value.
        expand_dim: length of the list.
    """
    return [value] * expand_dim if isinstance(value, valid_type) else value


def check_type(name: str, value: Any, valid_type: Types) -> None:
    """Checks that the argument called `name` has the type `valid_type`.

    Raises:
        TypeError: `value` is not an instance of `valid_type`; the message names the argument.
    """
    if not isinstance(value, valid_type):
        raise TypeError(f"`{name}` should be {valid_type} but got {type(value)}")


def check_length(name: str, value: Any, valid_length: int) -> None:
    """Checks that the argument called `name`, if it is a list, has `valid_length` items or more.

    Raises:
        AssertionError: `value` is a list with fewer than `valid_length` items; the message names the argument.
    """
    if isinstance(value, list) and len(value) < valid_length:
        raise AssertionError(
            f"The length of {name} must equal with or greater than {valid_length}, but got {len(value)}"
        )


def check_type_and_length(name: str, value: Any, valid_type: Types, valid_length: int) -> None:
    """Checks that the argument called `name` has the type `valid_type`, and that a list has enough items.

    A list needs `valid_length` items or more.

    Raises:
        TypeError: `value` is not an instance of `valid_type`; the message names the argument.
        AssertionError: `value` is a list with fewer than `valid_length` items; the message names the argument.
    """
    check_type(name, value, valid_type)
    check_length(name, value, valid_length)


def convert_overlay_heatmap(
    feat_map: np.ndarray | torch.Tensor, img: np.ndarray | None = None, alpha: float = 0.5
) -> np.ndarray:
    """Draws a feature map in colors from blue (lowest value) to red (highest value), optionally over an image.

    Args:
        feat_map: (H, W) or (1, H, W); (3, H, W) is treated as an RGB image.
        img: the image, (H, W, 3) uint8; None for none.
        alpha: weight of the feature map when it is drawn over the image.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        NotAMapError: `feat_map` has another shape (a ValueError and an AssertionError).
    """
    import cv2

    values = feat_map.detach().cpu().numpy() if isinstance(feat_map, torch.Tensor) else feat_map
    if values.ndim != 2 and (values.ndim != 3 or values.shape[0] not in (1, 3)):
        raise NotAMapError(f"feat_map must be (H, W), (1, H, W) or (3, H, W), got shape {values.shape}")
    if values.ndim == 3:
        values = values.transpose(1, 2, 0)
    scaled = cv2.normalize(values, np.zeros(values.shape), 0, 255, cv2.NORM_MINMAX)
    colored = cv2.cvtColor(cv2.applyColorMap(np.asarray(scaled, dtype=np.uint8), cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    if img is None:
        return np.asarray(colored)
    return np.asarray(cv2.addWeighted(img, 1 - alpha, colored, alpha, 0))


def wait_continue(figure: Any, timeout: float = 0, continue_key: str = " ") -> int:
    """Waits until a key is pressed in a matplotlib figure, its window is closed, or the timeout expires.

    Args:
        figure: the matplotlib figure.
        timeout: longest time to wait in seconds; 0 waits without limit.
        continue_key: the key that ends waiting.

    Returns:
        0 after the key was pressed or if no window can be shown, 1 after the window was closed or the timeout.
    """
    import matplotlib.pyplot as plt
    from matplotlib.backend_bases import CloseEvent

    if "inline" in plt.get_backend():
        return 0
    if figure.canvas.manager:
        figure.show()
    pressed: list[bool] = []

    def handle(event: Any) -> None:
        if isinstance(event, CloseEvent) or event.key == continue_key:
            pressed.append(not isinstance(event, CloseEvent))
            figure.canvas.stop_event_loop()

    connections = [figure.canvas.mpl_connect(name, handle) for name in ("key_press_event", "close_event")]
    try:
        figure.canvas.start_event_loop(timeout)
    finally:
        for connection in connections:
            figure.canvas.mpl_disconnect(connection)
    return 0 if any(pressed) else 1
