from __future__ import annotations

import numpy as np
import pytest
import torch
from visualization_parts import pixel, untouched

RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


def test_a_colour_and_a_style_for_each(visualizer) -> None:
    boxes = np.array([[5.0, 5, 25, 25], [40.0, 5, 60, 25]])
    visualizer.draw_bboxes(boxes, edge_colors=["r", BLUE], line_styles=["-", "--"], line_widths=[1, 1], alpha=1)
    image = visualizer.get_image()
    assert (image[5, 6:25] == RED).all()
    dashed = (image[5, 40:61] == BLUE).all(axis=-1)
    assert 0 < dashed.sum() < 21


@pytest.mark.parametrize("marker", [None, "o", "s", "^", "x", "+"])
def test_points_have_markers(visualizer, marker) -> None:
    visualizer.draw_points(torch.tensor([[40.0, 30]]), colors="r", marker=marker, sizes=np.array([144.0]))
    assert pixel(visualizer, 40, 30) == RED
    assert untouched(visualizer)[:20].all()


def test_text_lies_where_its_alignment_says(visualizer) -> None:
    bounds = {}
    for horizontal in ("left", "center", "right"):
        for vertical in ("top", "center", "bottom"):
            visualizer.set_image(np.full((60, 80, 3), 100, np.uint8))
            visualizer.draw_texts("HH", np.array([40.0, 30]), 14, "k", vertical, horizontal)
            rows, columns = np.nonzero(~untouched(visualizer))
            bounds[horizontal, vertical] = columns.mean(), rows.mean()
    assert bounds["left", "top"][0] > bounds["center", "top"][0] > bounds["right", "top"][0]
    assert bounds["left", "top"][1] > bounds["left", "center"][1] > bounds["left", "bottom"][1]
    assert bounds["center", "center"][0] == pytest.approx(40, abs=2)


def test_text_has_a_box_behind_it_several_lines_and_any_letters(visualizer) -> None:
    visualizer.draw_texts(
        "grün\nблок", np.array([10.0, 10]), 12, "k", bboxes={"facecolor": "w", "alpha": 1.0, "pad": 0.2}
    )
    assert pixel(visualizer, 9, 9) == (255, 255, 255)
    assert (~untouched(visualizer)).nonzero()[0].max() > 10 + 2 * 12
