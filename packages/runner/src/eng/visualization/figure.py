"""A matplotlib figure over the image, for visualizers that draw with matplotlib's own axes.

The image itself is drawn on with OpenCV. A library that asks for the figure or its axes gets a figure that shows the image
as it is; what is drawn on it is taken over into the image before anybody looks at the image again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["DPI", "Overlay"]

DPI = 100


class Overlay:
    """A figure without margins that shows an image.

    Args:
        image: (height, width, 3) uint8, RGB; None for an empty figure.
        settings: of matplotlib's ``Figure``.

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
            # A hundredth of a pixel more, so that rounding never takes a row away.
            self.figure.set_size_inches((width + 1e-2) / self.figure.dpi, (height + 1e-2) / self.figure.dpi)
            self.axes.imshow(image, extent=(0, width, height, 0), interpolation="none")

    def render(self) -> np.ndarray:
        """The figure with all that was drawn on it, (height, width, 3) uint8, RGB."""
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()
