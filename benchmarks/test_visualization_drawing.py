"""Drawing during validation, and what a scalar costs a run."""

from __future__ import annotations

import numpy as np

from eng.visualization import BaseVisBackend, Visualizer


def test_100_boxes_with_labels_on_an_image(versus) -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (800, 1280, 3), dtype=np.uint8)
    corners = generator.uniform((0, 0), (1100, 650), (100, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(20, 150, (100, 2))], axis=1)
    labels = [f"class {number % 20}: {number}%" for number in range(100)]
    visualizer = Visualizer()
    background = [{"facecolor": "black", "alpha": 0.8, "pad": 0.7, "edgecolor": "none"}] * 100

    def draw() -> None:
        visualizer.set_image(image)
        visualizer.draw_bboxes(boxes, edge_colors="g", alpha=0.8, line_widths=3)
        visualizer.draw_texts(labels, corners + 3, colors="w", bboxes=background)
        visualizer.get_image()

    versus.per_call("100 boxes with labels, 1280x800", draw, target="<= 30000 us")


class Slow(BaseVisBackend):
    """A tracker that takes what comes."""

    in_background = True

    experiment = None

    def _init_env(self) -> None:
        pass


def test_a_scalar_for_a_tracker_waits_for_nothing(versus, tmp_path) -> None:
    visualizer = Visualizer("cost", vis_backends=[Slow(str(tmp_path))])
    values = {"loss": 0.5, "lr": 0.1, "time": 0.2}
    versus.per_call("scalars of a step into the queue", lambda: visualizer.add_scalars(values, 1), target="<= 100 us")
    visualizer.close()
