"""`eng browse`: the right pixels in the right cells."""

from __future__ import annotations

import random
from pathlib import Path

import click
import numpy as np
import pytest
import torch

from eng.dataset._commands import browse
from eng.dataset._contact_sheet import NoPictureError, Picture, draw_sheet, picture_of, pictures_of
from eng.registry import DATASETS

image_of = pytest.importorskip("PIL.Image")

CONFIG = """
model = dict(data_preprocessor=dict(bgr_to_rgb=True))
randomness = dict(seed=3)
train_dataloader = dict(batch_size=2, dataset=dict(type="Squares"))
"""


class Squares:
    """Ten pictures, blue first; each drawing of one adds random light."""

    metainfo = {"classes": ("odd", "even")}

    def __len__(self):
        return 10

    def __getitem__(self, index):
        light = random.randrange(100)
        return {"img": np.full((4, 4, 3), (200, 100, light), np.uint8), "gt_label": (index + 1) % 2}


@pytest.fixture(autouse=True)
def registered():
    DATASETS.register_module(module=Squares, force=True)
    yield
    del DATASETS.module_dict["Squares"]


@pytest.fixture
def config(here: Path) -> Path:
    (here / "squares.py").write_text(CONFIG)
    return here / "squares.py"


def test_sheet_has_a_row_for_each_sample_and_a_column_for_each_epoch(config: Path, here: Path, call) -> None:
    status, said = call(browse, config, "--samples", 2, "--epochs", 3, "--cell", 16)
    assert (status, said) == (0, "wrote squares-train.png: 2 of 10 samples in 3 epochs\n")
    sheet = np.asarray(image_of.open(here / "squares-train.png"))
    assert sheet.shape == (2 * (16 + 14 + 4) + 4, 3 * (16 + 4) + 4, 3)
    # Red comes first again, and differs between the epochs of one sample.
    corners = [tuple(sheet[4, 4 + 20 * column]) for column in range(3)]
    assert {corner[1:] for corner in corners} == {(100, 200)}
    assert len({corner[0] for corner in corners}) == 3


def test_sheet_shows_what_training_would_see(config: Path, here: Path, call) -> None:
    call(browse, config, "--index", 7, "--epochs", 2, "--out", "first.png")
    random.seed(99)
    call(browse, config, "--index", 7, "--epochs", 2, "--out", "deep/second.png")
    assert (here / "first.png").read_bytes() == (here / "deep" / "second.png").read_bytes()


@pytest.mark.parametrize(
    ("sample", "pixel"),
    [
        ({"inputs": torch.full((3, 2, 2), 7, dtype=torch.uint8)}, (7, 7, 7)),
        ({"inputs": torch.tensor([[[-1.0, 3.0]]])}, (0, 0, 0)),
        ({"img": np.full((2, 2), 9, np.uint8)}, (9, 9, 9)),
        ((torch.full((1, 2, 2), 5, dtype=torch.uint8), 1), (5, 5, 5)),
        ({"inputs": torch.full((1, 2, 2), float("nan"))}, (0, 0, 0)),
    ],
    ids=["bytes", "normalised", "grey array", "tuple", "NaN"],
)
def test_images_of_every_kind(sample, pixel: tuple[int, int, int]) -> None:
    assert tuple(picture_of(sample, 0).image[0, 0]) == pixel


def test_caption_has_number_and_class() -> None:
    sample = Squares()[4]
    assert picture_of(sample, 4, ("odd", "even")).caption == "4: even"
    assert picture_of(sample, 4).caption == "4: 1"
    assert picture_of({"img": sample["img"]}, 4).caption == "4"


def test_boxes_are_drawn_at_the_scale_of_the_cell() -> None:
    picture = Picture(np.zeros((8, 8, 3), np.uint8), "", np.array([[2.0, 2.0, 6.0, 6.0]]))
    cell = np.asarray(draw_sheet([[picture]], cell_px=16))[4:20, 4:20]
    assert cell[4, 4].tolist() == cell[12, 12].tolist() == [230, 60, 30]
    assert cell[8, 8].tolist() == [0, 0, 0]


def test_large_images_are_made_smaller() -> None:
    picture = Picture(np.full((300, 150, 3), 50, np.uint8), "", np.zeros((0, 4)))
    cell = np.asarray(draw_sheet([[picture]], cell_px=100))[4:104, 4:104]
    assert (cell[:, :50] == 50).all()
    assert (cell[:, 50:] == 255).all()


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ({"points": 1, "label": 2}, "sample 5 holds no image: it has points, label"),
        ({"inputs": torch.zeros(4)}, r"shape \(4,\) is no grey or colour image"),
        ({"inputs": torch.zeros(5, 2, 2)}, r"shape \(2, 2, 5\) is no grey or colour image"),
        ({"inputs": torch.zeros(3, 0, 2)}, r"shape \(0, 2, 3\)"),
    ],
    ids=["none", "vector", "five channels", "empty"],
)
def test_samples_without_a_picture(sample, words: str) -> None:
    with pytest.raises(NoPictureError, match=words):
        pictures_of({5: sample}, [5], [0], seed=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--split", "test"), "no test_dataloader with a dataset; it has data to train"),
        (("--index", 10), "10 samples"),
        (("--out", "sheet.xyz"), r"--out sheet\.xyz: Pillow writes no \.xyz files"),
    ],
    ids=["split", "index", "format"],
)
def test_calls_that_cannot_work(config: Path, call, words, message: str) -> None:
    with pytest.raises(click.ClickException, match=message):
        call(browse, config, *words)
    assert not list(config.parent.glob("*.png"))
