from __future__ import annotations

import numpy as np

from eng.visualization import Visualizer


def test_grey_and_floating_images_become_rgb() -> None:
    visualizer = Visualizer(image=np.full((4, 6), 17.6))
    assert visualizer.get_image().shape == (4, 6, 3)
    assert visualizer.get_image().dtype == np.uint8
    assert (visualizer.get_image() == 18).all()
