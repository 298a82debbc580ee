"""Shows an image in a window and waits for a key."""

from __future__ import annotations

import numpy as np

from eng.logging.optional import optional_module

from .canvas import cv2


def show(image: np.ndarray, title: str, wait_seconds: float, continue_key: str, backend: str) -> None:
    """Shows an image in a window until a key is pressed or the time is over.

    Args:
        image: (h, w, 3) uint8 RGB.
        title: title of the window.
        wait_seconds: seconds until the window is closed; 0 waits for the key.
        continue_key: key that closes the window of matplotlib; OpenCV accepts any key.
        backend: ``"matplotlib"`` or ``"cv2"``.

    Raises:
        ValueError: the backend is unknown.
    """
    if backend == "cv2":
        cv2().imshow(title, image[..., ::-1])
        cv2().waitKey(int(wait_seconds * 1000))
    elif backend == "matplotlib":
        _show_figure(image, title, wait_seconds, continue_key)
    else:
        raise ValueError(f"backend must be 'matplotlib' or 'cv2', got {backend!r}")


def _show_figure(image: np.ndarray, title: str, wait_seconds: float, continue_key: str) -> None:
    """Shows an image in a matplotlib window until a key is pressed, the window is closed or the time is over."""
    plt = optional_module("matplotlib.pyplot", "a window with backend='matplotlib'")
    height, width = image.shape[:2]
    figure = plt.figure(title, figsize=(width / 100, height / 100), dpi=100, frameon=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.imshow(image)
    pressed: list[str] = []

    def on_key(event: object) -> None:
        key = getattr(event, "key", None)
        if key == continue_key:
            pressed.append(key)
            figure.canvas.stop_event_loop()

    figure.canvas.mpl_connect("key_press_event", on_key)
    figure.canvas.mpl_connect("close_event", lambda _: figure.canvas.stop_event_loop())
    figure.show()
    figure.canvas.start_event_loop(wait_seconds)
    plt.close(figure)
