"""What goes wrong in a visualizer is an error of the class that MMEngine 0.10.7 raises, too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from eng.visualization import LocalVisBackend, Visualizer

DRAWINGS: dict[str, Callable[[Visualizer], object]] = {
    "get_image": lambda visualizer: visualizer.get_image(),
    "draw_bboxes": lambda visualizer: visualizer.draw_bboxes(np.array([[1, 2, 3, 4]])),
    "draw_points": lambda visualizer: visualizer.draw_points(np.array([[1, 2]])),
    "draw_texts": lambda visualizer: visualizer.draw_texts("a", np.array([1, 2])),
}


@pytest.mark.parametrize("kind", [ValueError, AttributeError])
@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_there_is_no_image(draw: Callable[[Visualizer], object], kind: type[Exception]) -> None:
    with pytest.raises(kind, match="there is no image yet: call set_image first"):
        draw(Visualizer())


@pytest.mark.parametrize("kind", [ValueError, RuntimeError])
def test_two_trackers_of_one_name(tmp_path, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="two vis_backends are called 'LocalVisBackend'"):
        Visualizer(vis_backends=[dict(type=LocalVisBackend), dict(type=LocalVisBackend)], save_dir=str(tmp_path))


def test_a_tracker_that_is_not_there(tmp_path) -> None:
    visualizer = Visualizer(vis_backends=[dict(type=LocalVisBackend)], save_dir=str(tmp_path))
    assert isinstance(visualizer.get_backend("LocalVisBackend"), LocalVisBackend)
    assert visualizer.get_backend("nothing") is None


def test_an_image_that_was_read_is_a_copy() -> None:
    visualizer = Visualizer(image=np.zeros((40, 50, 3), np.uint8))
    before = visualizer.get_image()
    visualizer.draw_bboxes(np.array([[2, 2, 30, 30]]), edge_colors="r")
    assert before.max() == 0
    drawn = visualizer.get_image()
    assert drawn.max() > 0
    drawn[:] = 0
    assert visualizer.get_image().max() > 0
