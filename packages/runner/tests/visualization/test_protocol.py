"""What libraries override and assign in visualizers and trackers, as the reference lets them."""

from __future__ import annotations

import json
import threading
import warnings

import numpy as np
import pytest
import torch

from eng.registry import VISBACKENDS
from eng.visualization import LocalVisBackend, TensorboardVisBackend, Visualizer, WandbVisBackend
from eng.visualization.axis import step_counts


class OfALibrary(Visualizer):
    """Overrides with the reference's signatures."""

    def add_scalars(self, scalar_dict, step=0, file_path=None):
        self.seen = getattr(self, "seen", [])
        self.seen.append((dict(scalar_dict), step, file_path))
        super().add_scalars(scalar_dict, step, file_path)

    def add_image(self, name, image, step=0):
        super().add_image(name, image, step)


def test_a_visualizer_with_the_references_signature_gets_the_scalars_of_a_run(make_runner, parts, tmp_path) -> None:
    visualizer = OfALibrary("of a library", vis_backends=[dict(type="LocalVisBackend")], save_dir=str(tmp_path / "vis"))
    runner = make_runner(
        visualizer=visualizer,
        default_hooks=dict(logger=dict(type="LoggerHook", interval=2)),
        **parts.validation(acc=[1]),
    )
    runner.train()
    assert [step for values, step, _ in visualizer.seen if "loss" in values] == [2, 4, 6, 8]
    lines = [json.loads(line) for line in visualizer.scalar_file.read_text().splitlines()]
    assert [(line["axis"], line["step"]) for line in lines] == [
        ("iter", 2), ("iter", 4), ("epoch", 1), ("iter", 6), ("iter", 8), ("epoch", 2),
    ]  # fmt: skip


class Plain:
    """A tracker that knows nothing of eng and derives from nothing."""

    def __init__(self, save_dir: str) -> None:
        self.calls: list[tuple] = []
        self.threads: set[str] = set()

    def add_scalar(self, name, value, step=0):
        self.threads.add(threading.current_thread().name)
        self.calls.append((name, value, step))

    def add_scalars(self, scalar_dict, step=0, file_path=None):
        self.threads.add(threading.current_thread().name)
        self.calls.append((dict(scalar_dict), step))

    def close(self):
        self.calls.append("closed")


@pytest.fixture
def plain():
    with VISBACKENDS.isolated():
        VISBACKENDS.register_module(module=Plain, name="PlainOfThisTest")
        yield "PlainOfThisTest"


def test_a_tracker_without_engs_attributes_is_called_where_the_run_is(plain, tmp_path) -> None:
    visualizer = Visualizer(vis_backends=[dict(type=plain)], save_dir=str(tmp_path))
    visualizer.follow(lambda: {"iteration": 4, "mode": "train"})
    visualizer.add_scalar("loss", 1.0, step=3)
    with step_counts("iter"):
        visualizer.add_scalars({"loss": 2.0}, step=4, file_path="x.json")
    visualizer.close()
    backend = visualizer.get_backend(plain)
    assert backend.calls == [("loss", 1.0, 3), ({"loss": 2.0}, 4), "closed"]
    assert backend.threads == {threading.current_thread().name}


def test_a_tracker_without_replay_gets_earlier_curves_line_by_line(plain, tmp_path) -> None:
    from eng.visualization.curves import Line

    visualizer = Visualizer(vis_backends=[dict(type=plain)], save_dir=str(tmp_path))
    visualizer.go_on_from([Line({"loss": 1.0}, 1, "iter", 1, "train"), Line({"acc": 2.0}, 1, "epoch", 1, "val")])
    assert visualizer.get_backend(plain).calls == [({"loss": 1.0}, 1), ({"acc": 2.0}, 1)]


class Subclass(TensorboardVisBackend):
    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        self.threads: set[str] = set()

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs):
        self.threads.add(threading.current_thread().name)


@pytest.mark.parametrize("asks", [False, True])
def test_only_a_class_that_asks_for_it_runs_on_a_thread_of_its_own(tmp_path, asks) -> None:
    kind = type("Asking", (Subclass,), {"in_background": True}) if asks else Subclass
    backend = kind(str(tmp_path))
    visualizer = Visualizer(vis_backends=[backend])
    visualizer.add_scalars({"loss": 1.0})
    visualizer.close()
    assert backend.threads == ({"eng-tracker-Asking"} if asks else {threading.current_thread().name})


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


# --- matplotlib's figure over the image --------------------------------------------------------------------------------


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


# --- images and warnings ------------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("shape", [(40,), (2, 40, 50, 3), (40, 50, 2), (40, 50, 5), ()], ids=str)
def test_another_shape_is_no_image(shape) -> None:
    with pytest.raises(
        ValueError, match="an image is .height, width, 3., with 1 or 4 channels, or .height, width., got"
    ):
        Visualizer(image=np.zeros(shape, np.uint8))


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
