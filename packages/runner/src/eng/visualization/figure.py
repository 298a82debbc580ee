"""Overlay: a matplotlib figure over the image, for visualizers that draw with matplotlib's axes.

The visualizer itself draws with OpenCV. If other code asks for the figure or its axes, it gets a figure that shows the
current image. The rendered figure replaces the image when the image is read or drawn on the next time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["DPI", "Overlay"]

DPI = 100


class Overlay:
    """A matplotlib figure without margins that shows an image, so that matplotlib can draw over the image.

    Args:
        image: (height, width, 3) uint8, RGB; None for an empty figure.
        settings: keyword arguments of matplotlib's ``Figure``.

    Raises:
        ImportError: matplotlib is not installed.
    """

    def __init__(self, image: np.ndarray | None, settings: dict[str, Any]) -> None:
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("drawing on a figure needs matplotlib: pip install matplotlib") from error
        self.figure = Figure(**{"dpi": DPI, **settings})
        self.canvas = FigureCanvasAgg(self.figure)
        self.figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
        self.axes = self.figure.add_subplot()
        self.axes.axis(False)
        if image is not None:
            height, width = image.shape[:2]
            # Matplotlib rounds the size of a figure down to full pixels. The figure is made a hundredth of a pixel
            # larger, so that the last row and column of the image are not lost by rounding errors.
            self.figure.set_size_inches((width + 1e-2) / self.figure.dpi, (height + 1e-2) / self.figure.dpi)
            self.axes.imshow(image, extent=(0, width, height, 0), interpolation="none")

    def render(self) -> np.ndarray:
        """Renders the figure with all drawings, as (height, width, 3) uint8 RGB."""
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()
