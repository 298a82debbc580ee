from __future__ import annotations

import numpy as np
import pytest

from eng.visualization import Visualizer


@pytest.fixture
def visualizer() -> Visualizer:
    return Visualizer(image=np.full((60, 80, 3), 100, np.uint8))


def test_grey_and_floating_images_become_rgb() -> None:
    visualizer = Visualizer(image=np.full((4, 6), 17.6))
    assert visualizer.get_image().shape == (4, 6, 3)
    assert visualizer.get_image().dtype == np.uint8
    assert (visualizer.get_image() == 18).all()
