"""What is drawn, looked at pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from visualization_parts import pixel, untouched

from eng.visualization import Visualizer

RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


@pytest.mark.parametrize("kind", [np.array, torch.tensor], ids=["array", "tensor"])
@pytest.mark.parametrize("boxes", [[20.0, 10, 50, 40], [[20.0, 10, 50, 40]]], ids=["one", "many"])
def test_box_outline_lies_on_its_edges(visualizer, kind, boxes) -> None:
    visualizer.draw_bboxes(kind(boxes), edge_colors="r", alpha=1, line_widths=1)
    assert all(pixel(visualizer, x, y) == RED for x, y in ((20, 25), (50, 25), (35, 10), (35, 40)))
    assert untouched(visualizer)[13:37, 23:47].all()
    assert untouched(visualizer)[:, :17].all()


def test_blending_is_linear_in_alpha(visualizer) -> None:
    for alpha, expected in ((0.0, 100), (0.25, 139), (0.5, 178), (1.0, 255)):
        visualizer.set_image(np.full((60, 80, 3), 100, np.uint8))
        visualizer.draw_bboxes(np.array([20.0, 10, 50, 40]), "none", face_colors=RED, alpha=alpha)
        red, green, _ = pixel(visualizer, 35, 25)
        assert abs(red - expected) <= 1
        assert abs(green - round(100 * (1 - alpha))) <= 1


def test_drawing_adds_up_and_keeps_the_size_and_the_given_array() -> None:
    given = np.full((33, 47, 3), 9, np.uint8)
    visualizer = Visualizer(image=given)
    visualizer.draw_circles(np.array([10.0, 10]), np.array([4.0]), face_colors="b", edge_colors="none", alpha=1)
    visualizer.draw_bboxes(np.array([8.0, 8, 20, 20]), edge_colors="none", face_colors="r", alpha=0.5)
    assert visualizer.get_image().shape == (33, 47, 3)
    assert pixel(visualizer, 7, 10) == BLUE
    assert pixel(visualizer, 10, 10) == (128, 0, 128)
    assert (given == 9).all()


@pytest.mark.filterwarnings("ignore:draw_bboxes out of bounds")
def test_boxes_outside_the_image_are_cut_off(visualizer) -> None:
    visualizer.draw_bboxes(
        np.array([[-30.0, -30, 20, 20], [100.0, 100, 200, 200]]), face_colors="b", edge_colors="none", alpha=1
    )
    assert pixel(visualizer, 5, 5) == BLUE
    assert untouched(visualizer)[25:].all()


def test_polygon_is_filled_inside_only(visualizer) -> None:
    triangle = torch.tensor([[10.0, 10], [40, 10], [10, 40]])
    visualizer.draw_polygons([triangle], edge_colors="none", face_colors="g", alpha=1)
    assert pixel(visualizer, 15, 15) == GREEN
    assert untouched(visualizer)[38, 38]


def test_circle_covers_its_area(visualizer) -> None:
    visualizer.draw_circles(np.array([[30.0, 30]]), np.array([20.0]), edge_colors="none", face_colors="k", alpha=1)
    covered = (100 - visualizer.get_image()[..., 0].astype(float)).sum() / 100
    assert covered == pytest.approx(np.pi * 20**2, rel=0.06)


def test_lines_go_through_their_points(visualizer) -> None:
    visualizer.draw_lines(
        np.array([[5.0, 70], [10.0, 10]]), np.array([[20.0, 20], [5.0, 50]]), colors=["r", "b"], line_widths=1
    )
    assert pixel(visualizer, 40, 20) == RED
    assert pixel(visualizer, 10, 40) == BLUE


def test_letters_grow_with_the_image() -> None:
    small, large = (Visualizer(image=np.zeros((side, side, 3), np.uint8)) for side in (100, 2000))
    assert (small._default_font_size, large._default_font_size) == (10, 22)


@pytest.mark.parametrize("masks", [np.s_[0], np.s_[:]], ids=["one", "many"])
def test_masks_blend_where_they_are_true(visualizer, masks) -> None:
    all_masks = torch.zeros(2, 60, 80, dtype=torch.bool)
    all_masks[:, 10:20, 30:50] = True
    visualizer.draw_binary_masks(all_masks[masks], colors=BLUE, alphas=0.5)
    red = 50 if all_masks[masks].dim() == 2 else 25
    assert pixel(visualizer, 30, 10)[0] == red
    assert untouched(visualizer).sum() == 60 * 80 - 200


def test_calls_chain_and_the_axes_of_libraries_write(visualizer) -> None:
    assert visualizer.draw_points(np.array([1.0, 1])).draw_points(np.array([2.0, 2])) is visualizer
    visualizer.ax_save.text(
        30, 20, "H", size=14, color="k", verticalalignment="top", bbox={"facecolor": "w", "alpha": 1}
    )
    assert (visualizer.get_image() == 255).any()


def test_drawing_without_an_image_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="call set_image first"):
        Visualizer().draw_points(np.ones(2))
    with pytest.raises(TypeError, match="array or a tensor, got list"):
        Visualizer(image=np.zeros((5, 5, 3))).draw_points([1, 2])
