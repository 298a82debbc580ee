"""Argument checks and heat maps that libraries import from ``mmengine.visualization.utils``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class NotAMapError(ValueError, AssertionError):
    """An array has no shape of a feature map."""


Types = type[Any] | tuple[type[Any], ...]


def value2list(value: Any, valid_type: Types, expand_dim: int) -> Any:
    """`value` repeated `expand_dim` times in a list where it is a single one, unchanged otherwise.

    Args:
        value: one value, or already a list of them.
        valid_type: type or types of one value.
        expand_dim: length of the list.
    """
    return [value] * expand_dim if isinstance(value, valid_type) else value


def check_type(name: str, value: Any, valid_type: Types) -> None:
    """Checks the type of an argument.

    Raises:
        TypeError: `value` is of another type; names the argument.
    """
    if not isinstance(value, valid_type):
        raise TypeError(f"`{name}` should be {valid_type} but got {type(value)}")


def check_length(name: str, value: Any, valid_length: int) -> None:
    """Checks that a list is long enough; values of other types pass.

    Raises:
        AssertionError: the list is shorter than `valid_length`; names the argument.
    """
    if isinstance(value, list) and len(value) < valid_length:
        raise AssertionError(
            f"The length of {name} must equal with or greater than {valid_length}, but got {len(value)}"
        )


def check_type_and_length(name: str, value: Any, valid_type: Types, valid_length: int) -> None:
    """Checks type and length of an argument; see :func:`check_type` and :func:`check_length`.

    Raises:
        TypeError: `value` is of another type.
        AssertionError: the list is too short.
    """
    check_type(name, value, valid_type)
    check_length(name, value, valid_length)


def convert_overlay_heatmap(
    feat_map: np.ndarray | torch.Tensor, img: np.ndarray | None = None, alpha: float = 0.5
) -> np.ndarray:
    """A feature map in the colours from blue (least) to red (most), over an image where one is passed.

    Args:
        feat_map: (H, W), (1, H, W), or (3, H, W), which is taken for an RGB picture.
        img: (H, W, 3) uint8.
        alpha: share of the map in the result.

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
    """Waits until a key is pressed in a matplotlib figure, its window is closed, or the time is over.

    Args:
        figure: the matplotlib figure.
        timeout: seconds to wait at most; 0 waits without limit.
        continue_key: key that ends waiting.

    Returns:
        0 after a key press or where nothing can be shown, 1 where the window was closed or the time is over.
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
