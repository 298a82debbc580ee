from __future__ import annotations

import numpy as np
import pytest

from eng.visualization import Visualizer


def test_the_figure_takes_another_picture_as_mmpose_does_it() -> None:
    pytest.importorskip("matplotlib")
    visualizer = Visualizer(image=np.zeros((10, 10, 3), np.uint8))
    picture = np.full((20, 30, 3), 99, np.uint8)
    visualizer.width, visualizer.height = 30, 20
    visualizer.fig_save.set_size_inches((30 + 1e-2) / visualizer.dpi, (20 + 1e-2) / visualizer.dpi)
    visualizer.ax_save.cla()
    visualizer.ax_save.axis(False)
    visualizer.ax_save.imshow(picture, extent=(0, 30, 20, 0), interpolation="none")
    assert visualizer.get_image().tolist() == picture.tolist()


def test_a_text_needs_no_figure() -> None:
    visualizer = Visualizer(image=np.zeros((40, 60, 3), np.uint8))
    visualizer.ax_save.text(5, 20, "cat", color="w")
    assert visualizer._overlay is None
    assert visualizer.get_image().max() > 0
