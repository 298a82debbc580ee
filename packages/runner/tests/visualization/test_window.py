from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda v: v.draw_bboxes(np.array([30.0, 10, 20, 40])), r"x1 <= x2.*number 0"),
        (lambda v: v.draw_bboxes(np.zeros((2, 5))), r"expected \(4,\) or \(N, 4\)"),
        (lambda v: v.draw_bboxes(np.array([0, 0, np.nan, 9])), "finite"),
        (lambda v: v.draw_bboxes(np.array([1.0, 1, 2, 2]), edge_colors="gren"), r"no colour 'gren'; did you mean .*'green'"),
        (lambda v: v.draw_bboxes(np.array([1.0, 1, 2, 2]), edge_colors=(0, 300, 0)), "0 to 255"),
        (lambda v: v.draw_bboxes(np.array([1.0, 1, 2, 2]), edge_colors=["r", "g"]), "edge_colors: expected one value or a list of 1"),
        (lambda v: v.draw_lines(np.array([1.0, 2]), np.array([1.0, 2]), line_styles="=="), "no line style '=='"),
        (lambda v: v.draw_lines(np.ones((2, 2)), np.ones((1, 2))), "one shape"),
        (lambda v: v.draw_points(np.ones(2), marker="q"), "no marker 'q'"),
        (lambda v: v.draw_texts(["a", "b"], np.ones((1, 2))), "as many positions"),
        (lambda v: v.draw_texts("a", np.ones(2), vertical_alignments="middle"), "no alignment 'middle'"),
        (lambda v: v.draw_circles(np.ones((2, 2)), np.ones(3)), "as many radii"),
        (lambda v: v.draw_binary_masks(np.ones((5, 5), bool)), r"\(60, 80\) like the image"),
        (lambda v: v.set_image(np.zeros((3, 4, 5))), r"\(height, width, 3\)"),
        (lambda v: v.set_image(None), r"\(height, width, 3\)"),
        (lambda v: v.show(backend="qt"), "'matplotlib' or 'cv2'"),
    ],
    ids=["turned box", "shape", "nan", "near colour", "channel", "list", "style", "line shapes", "marker", "texts",
         "alignment", "radii", "mask size", "image", "no image", "window"],
)  # fmt: skip
def test_wrong_arguments_are_named(visualizer, draw, message) -> None:
    with pytest.raises(ValueError, match=message):
        draw(visualizer)
