"""What is drawn, looked at pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eng.visualization import Visualizer
from eng.visualization.colors import to_rgb
from eng.visualization.utils import color_val_matplotlib, img_from_canvas, tensor2ndarray

RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


@pytest.fixture
def visualizer() -> Visualizer:
    return Visualizer(image=np.full((60, 80, 3), 100, np.uint8))


def pixel(visualizer: Visualizer, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(channel) for channel in visualizer.get_image()[y, x])


def untouched(visualizer: Visualizer) -> np.ndarray:
    return (visualizer.get_image() == 100).all(axis=-1)


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


def test_a_colour_and_a_style_for_each(visualizer) -> None:
    boxes = np.array([[5.0, 5, 25, 25], [40.0, 5, 60, 25]])
    visualizer.draw_bboxes(boxes, edge_colors=["r", BLUE], line_styles=["-", "--"], line_widths=[1, 1], alpha=1)
    image = visualizer.get_image()
    assert (image[5, 6:25] == RED).all()
    dashed = (image[5, 40:61] == BLUE).all(axis=-1)
    assert 0 < dashed.sum() < 21


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


def test_grey_and_floating_images_become_rgb() -> None:
    visualizer = Visualizer(image=np.full((4, 6), 17.6))
    assert visualizer.get_image().shape == (4, 6, 3)
    assert visualizer.get_image().dtype == np.uint8
    assert (visualizer.get_image() == 18).all()


def test_calls_chain_and_the_axes_of_libraries_write(visualizer) -> None:
    assert visualizer.draw_points(np.array([1.0, 1])).draw_points(np.array([2.0, 2])) is visualizer
    visualizer.ax_save.text(
        30, 20, "H", size=14, color="k", verticalalignment="top", bbox={"facecolor": "w", "alpha": 1}
    )
    assert (visualizer.get_image() == 255).any()


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


def test_drawing_without_an_image_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="call set_image first"):
        Visualizer().draw_points(np.ones(2))
    with pytest.raises(TypeError, match="array or a tensor, got list"):
        Visualizer(image=np.zeros((5, 5, 3))).draw_points([1, 2])


def test_colours_by_letter_name_and_number() -> None:
    assert [to_rgb(color) for color in ("r", "tomato", "#010203", [4, 5, 6], "none")] == [
        RED, (255, 99, 71), (1, 2, 3), (4, 5, 6), None,
    ]  # fmt: skip


def test_helpers_that_libraries_import() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    assert img_from_canvas(FigureCanvasAgg(Figure(figsize=(2, 1), dpi=50))).shape == (50, 100, 3)
    assert color_val_matplotlib(["r", (255, 0, 0)]) == ["r", (1.0, 0.0, 0.0)]
    assert isinstance(tensor2ndarray(torch.ones(2)), np.ndarray)


# --- feature maps ------------------------------------------------------------------------------------------------


def featmap() -> torch.Tensor:
    """Three channels; the second has the largest sum, at the lower right."""
    maps = torch.zeros(3, 8, 8)
    maps[0, 0, 0], maps[1, 7, 7], maps[2, 0, 7] = 1.0, 5.0, 0.5
    return maps


def is_hot(color: np.ndarray) -> bool:
    return bool(color[0] > color[2])


def test_mean_and_maximum_of_channels() -> None:
    chosen = Visualizer.draw_featmap(featmap(), channel_reduction="select_max")
    assert is_hot(chosen[7, 7]) and not is_hot(chosen[0, 0])
    mean = Visualizer.draw_featmap(featmap() + torch.eye(8) * 9, channel_reduction="squeeze_mean")
    assert is_hot(mean[3, 3]) and not is_hot(mean[0, 5])


def test_a_map_is_resized_and_laid_over_an_image() -> None:
    image = np.full((40, 60, 3), 200, np.uint8)
    alone = Visualizer.draw_featmap(featmap(), resize_shape=(40, 60))
    over = Visualizer.draw_featmap(featmap(), image, alpha=0.25)
    assert over.shape == image.shape
    assert np.abs(over - (0.75 * 200 + 0.25 * alone)).max() <= 1


def test_channels_side_by_side() -> None:
    assert Visualizer.draw_featmap(featmap(), channel_reduction=None, topk=2, arrangement=(1, 2)).shape == (8, 16, 3)
    assert Visualizer.draw_featmap(featmap(), channel_reduction=None, topk=-1).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"featmap": torch.zeros(8, 8)}, r"must be \(C, H, W\)"),
        ({"featmap": featmap(), "channel_reduction": "max"}, "squeeze_mean, select_max"),
        ({"featmap": featmap(), "channel_reduction": None, "topk": 6, "arrangement": (1, 2)}, "no room for topk=6"),
        ({"featmap": torch.zeros(4, 2, 2), "channel_reduction": None, "topk": -1}, "1 or 3 channels"),
    ],
    ids=["dimensions", "reduction", "arrangement", "topk"],
)
def test_maps_that_cannot_be_shown(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        Visualizer.draw_featmap(**arguments)
