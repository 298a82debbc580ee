from __future__ import annotations

import numpy as np
import pytest
import torch

from eng.dataset._contact_sheet import NoPictureError, Picture, draw_sheet, picture_of, pictures_of
from eng.registry import DATASETS

image_of = pytest.importorskip("PIL.Image")

from browse_command_parts import Squares


@pytest.fixture(autouse=True)
def registered():
    DATASETS.register_module(module=Squares, force=True)
    yield
    del DATASETS.module_dict["Squares"]


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
