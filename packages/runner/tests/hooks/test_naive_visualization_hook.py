from __future__ import annotations

import numpy as np
import pytest
import torch

from eng.hooks import NaiveVisualizationHook
from eng.structures import BaseDataElement


class Notes:
    def __init__(self) -> None:
        self.drawn: list[tuple[str, np.ndarray]] = []

    def add_datasample(self, name, image, *_) -> None:
        self.drawn.append((name, image))


def draw(inputs, sample) -> np.ndarray:
    runner = type("View", (), {"visualizer": Notes()})()
    batch = [{"inputs": inputs, "data_sample": sample}]
    NaiveVisualizationHook().after_test_iter(runner, 0, batch, [sample])
    ((_, image),) = runner.visualizer.drawn
    return image


def sample_of(**meta) -> BaseDataElement:
    return BaseDataElement(metainfo={"img_path": "a/b.png", **meta})


INPUTS = torch.arange(3 * 4 * 5, dtype=torch.float32).reshape(3, 4, 5)


@pytest.mark.parametrize(
    "inputs", [INPUTS, INPUTS[None], INPUTS.to(torch.uint8)], ids=["(C,H,W)", "(1,C,H,W)", "uint8"]
)
def test_images_with_and_without_a_batch_dimension(inputs) -> None:
    image = draw(inputs, sample_of())
    assert image.dtype == np.uint8
    assert image.tolist() == INPUTS.permute(1, 2, 0).tolist()


@pytest.mark.parametrize(
    ("meta", "shape"),
    [
        (dict(ori_shape=(8, 10)), (8, 10)),
        (dict(ori_height=8, ori_width=10), (8, 10)),
        (dict(pad_shape=(4, 5), img_shape=(2, 3)), (2, 3)),
        (dict(pad_shape=(4, 5), scale=(3, 2), ori_width=6, ori_height=4), (4, 6)),
    ],
    ids=["shape", "width and height", "padding", "scale of old pipelines"],
)
def test_images_come_at_their_own_size(meta, shape) -> None:
    pytest.importorskip("cv2")
    assert draw(INPUTS[None], sample_of(**meta)).shape == (*shape, 3)


def test_normalisation_is_undone_and_one_channel_is_grey() -> None:
    normalized = (INPUTS - 10) / 2
    cfg = dict(mean=[10, 10, 10], std=[2, 2, 2])
    assert draw(normalized, sample_of(img_norm_cfg=cfg)).tolist() == INPUTS.permute(1, 2, 0).tolist()
    assert draw(INPUTS[:1], sample_of()).shape == (4, 5, 3)
