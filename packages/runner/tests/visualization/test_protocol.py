"""What libraries override and assign in visualizers and trackers, as the reference lets them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from eng.visualization import LocalVisBackend, Visualizer, WandbVisBackend


def test_trackers_are_taken_away_and_given_back(tmp_path) -> None:
    visualizer = Visualizer(vis_backends=[dict(type="LocalVisBackend")], save_dir=str(tmp_path))
    trackers = visualizer._vis_backends
    visualizer._vis_backends = {}
    visualizer.add_scalar("loss", 1.0)
    assert not (tmp_path / "vis_data").exists()
    visualizer._vis_backends = trackers
    visualizer.add_scalar("loss", 1.0)
    visualizer._vis_backends["second"] = LocalVisBackend(str(tmp_path / "second"))
    visualizer.add_scalar("loss", 2.0)
    assert len((tmp_path / "vis_data/scalars.json").read_text().splitlines()) == 2
    assert len((tmp_path / "second/scalars.json").read_text().splitlines()) == 1


def test_wandb_subclasses_find_their_attributes(tmp_path) -> None:
    assert WandbVisBackend(str(tmp_path), commit=False)._commit is False


def test_what_is_drawn_on_the_axes_is_in_the_image() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    visualizer = Visualizer(image=np.full((40, 60, 3), 7, np.uint8))
    visualizer.ax_save.add_collection(PatchCollection([Rectangle((10, 5), 20, 10)], facecolors="red", linewidths=0))
    image = visualizer.get_image()
    assert image.shape == (40, 60, 3)
    assert image[10, 20].tolist() == [255, 0, 0]
    assert image[30, 50].tolist() == image[2, 2].tolist() == [7, 7, 7]
    visualizer.draw_bboxes(np.array([40, 20, 50, 30]), face_colors=(0, 0, 255), edge_colors="none", alpha=1)
    visualizer.ax_save.plot([0, 60], [38, 38], color=(0, 1, 0), linewidth=2)
    image = visualizer.get_image()
    assert image[25, 45].tolist() == [0, 0, 255]
    assert image[38, 30, 1] > 200
    assert image[10, 20].tolist() == [255, 0, 0]


FORMS = {
    "(H,W)": (40, 50), "(H,W,1)": (40, 50, 1), "(H,W,3)": (40, 50, 3), "(H,W,4)": (40, 50, 4),
}  # fmt: skip


@pytest.mark.parametrize("shape", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int64, bool])
def test_images_of_any_form_are_drawn_on(shape, dtype) -> None:
    value = 1 if dtype is bool else 200
    expected = 255 if dtype is bool else 200
    for visualizer in (Visualizer(image=np.full(shape, value, dtype)), Visualizer()):
        visualizer.set_image(np.full(shape, value, dtype))
        assert visualizer.get_image().tolist() == np.full((40, 50, 3), expected).tolist()


def test_an_image_of_fractions_is_nearly_black_and_a_warning_says_so() -> None:
    with pytest.warns(UserWarning, match="images go from 0 to 255, so multiply by 255"):
        Visualizer(image=np.full((4, 4, 3), 0.7))


BOX = np.array([10.0, 10, 100, 30])


OUTSIDE = {
    "draw_bboxes": lambda v: v.draw_bboxes(BOX),
    "draw_polygons": lambda v: v.draw_polygons(np.array([[-5.0, 1], [20, 20], [1, 30]])),
    "draw_circles": lambda v: v.draw_circles(np.array([5.0, 5]), np.array([9.0])),
    "draw_lines": lambda v: v.draw_lines(np.array([1.0, 20]), np.array([1.0, 90])),
    "draw_texts": lambda v: v.draw_texts("cat", np.array([90.0, 10])),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_drawing_outside_the_image_warns(name) -> None:
    with pytest.warns(UserWarning, match=f"{name} out of bounds: a part lies outside the image of 50 x 40"):
        OUTSIDE[name](Visualizer(image=np.zeros((40, 50, 3), np.uint8)))


def test_drawing_up_to_the_edge_does_not_warn() -> None:
    visualizer = Visualizer(image=np.zeros((40, 50, 3), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        visualizer.draw_bboxes(np.array([0.0, 0, 50, 40])).draw_lines(np.array([0.0, 50]), np.array([0.0, 40]))
    assert visualizer.get_image()[20, 25].any()  # the line passes through the middle


@pytest.mark.parametrize("sizes", [[9.0, 100.0], (9, 100), np.array([9, 100]), torch.tensor([9, 100])], ids=["list", "tuple", "array", "tensor"])  # fmt: skip
def test_points_of_given_sizes(sizes) -> None:
    visualizer = Visualizer(image=np.zeros((40, 50, 3), np.uint8))
    visualizer.draw_points(np.array([[10.0, 10], [30, 20]]), colors="r", sizes=sizes)
    red = visualizer.get_image()[..., 0] > 128
    small, large = red[:, :20].sum(), red[:, 20:].sum()
    assert small == pytest.approx(9 * np.pi / 4, abs=6)  # discs whose boxes have these areas
    assert large == pytest.approx(100 * np.pi / 4, abs=20)


def test_a_size_for_all_points_and_a_wrong_number_of_them() -> None:
    visualizer = Visualizer(image=np.zeros((40, 50, 3), np.uint8))
    visualizer.draw_points(np.array([[10.0, 10], [30, 20]]), sizes=25)
    with pytest.raises(ValueError, match="sizes: expected one area or 2, got 3"):
        visualizer.draw_points(np.array([[10.0, 10], [30, 20]]), sizes=[1, 2, 3])


@pytest.mark.parametrize("shape", [None, (6, 7), (20, 30)])
@pytest.mark.parametrize("image", [None, np.zeros((10, 12, 3), np.uint8), np.zeros((10, 12, 1)), np.zeros((10, 12, 4))])
@pytest.mark.parametrize("reduction", ["squeeze_mean", "select_max", None])
def test_the_shape_of_a_feature_map(shape, image, reduction) -> None:
    drawn = Visualizer.draw_featmap(
        torch.rand(6, 4, 5), image, channel_reduction=reduction, topk=2, arrangement=(1, 2), resize_shape=shape
    )
    height, width = shape or ((10, 12) if image is not None else (4, 5))
    assert drawn.shape == (height, width * (2 if reduction is None else 1), 3)


@pytest.mark.parametrize("topk", [0, -1, -5])
def test_no_topk_shows_maps_of_one_and_three_channels_alone(topk) -> None:
    for channels in (1, 3):
        drawn = Visualizer.draw_featmap(torch.rand(channels, 4, 5), channel_reduction=None, topk=topk)
        assert drawn.shape == (4, 5, 3)
    with pytest.raises(ValueError, match=f"topk={topk} shows a map of 1 or 3 channels as it is; this one has 6"):
        Visualizer.draw_featmap(torch.rand(6, 4, 5), channel_reduction=None, topk=topk)
