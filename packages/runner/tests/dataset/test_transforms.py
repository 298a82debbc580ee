"""Transforms of images: against numpy and Pillow, and a run that trains from a folder of images by a config alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transforms_parts import image

from eng.dataset import LoadImage, TransformError
from eng.registry import MODELS, TRANSFORMS
from eng.runner import Runner


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (10, 14), **options: Any) -> np.ndarray:
    """Writes a picture of height and width `size` and gives its pixels (H, W, 3)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def built(name: str, **options: Any) -> Any:
    return TRANSFORMS.build({"type": name, **options})


def test_an_image_is_loaded_upright_with_its_channels_first(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "a.png")
    sample = {"img_path": str(tmp_path / "a.png"), "label": 1}
    loaded = built("LoadImage")(sample)
    assert np.array_equal(loaded["img"].permute(1, 2, 0).numpy(), pixels)
    assert loaded["label"] == 1
    assert "img" not in sample
    assert built("LoadImage", mode="L", to="grey")(sample)["grey"].shape == (1, 10, 14)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned: a viewer shows it by a quarter to the right
    pixels = picture(tmp_path / "turned.png", exif=exif)
    turned = LoadImage()({"img_path": tmp_path / "turned.png"})["img"]
    assert np.array_equal(turned.permute(1, 2, 0).numpy(), np.rot90(pixels, -1))


def test_a_palette_keeps_its_numbers(tmp_path: Path) -> None:
    mask = Image.fromarray(np.array([[0, 1], [2, 0]], dtype=np.uint8), mode="P")
    mask.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
    mask.save(tmp_path / "mask.png")
    loaded = LoadImage(to="mask", mode=None)({"img_path": tmp_path / "mask.png"})
    assert loaded["mask"].tolist() == [[[0, 1], [2, 0]]]


def test_sizes() -> None:
    sample = {"img": image(6, 8)}
    assert built("Resize", size=[3, 2])(sample)["img"].shape == (3, 3, 2)
    assert built("Resize", size=3)(sample)["img"].shape == (3, 3, 4)
    whole = built("Resize", size=(12, 16), interpolation="nearest")(sample)["img"]
    assert torch.equal(whole, image().repeat_interleave(2, 1).repeat_interleave(2, 2))
    flat = torch.full((3, 5, 7), 77, dtype=torch.uint8)
    assert built("Resize", size=9)({"img": flat})["img"].unique().tolist() == [77]


def test_bilinear_resize_equals_pillow(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "a.png", size=(20, 30))
    resized = built("Resize", size=(9, 13))(LoadImage()({"img_path": tmp_path / "a.png"}))["img"]
    expected = np.array(Image.fromarray(pixels).resize((13, 9), Image.Resampling.BILINEAR))
    assert np.abs(resized.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1


def test_crops() -> None:
    assert torch.equal(built("CenterCrop", size=4)({"img": image()})["img"], image()[:, 1:5, 2:6])
    wide = built("CenterCrop", size=(8, 4))({"img": image()})["img"]
    assert torch.equal(wide[:, 1:7], image()[:, :, 2:6])
    assert wide[:, [0, 7]].sum() == 0
    crop = built("RandomCrop", size=(3, 5), keys=["img", "mask"])
    starts = set()
    torch.manual_seed(0)
    for _ in range(60):
        cut = crop({"img": image(), "mask": image()[:1]})
        assert torch.equal(cut["mask"], cut["img"][:1])
        top, left = divmod(int(cut["img"][0, 0, 0]), 8)
        assert torch.equal(cut["img"], image()[:, top : top + 3, left : left + 5])
        starts.add((top, left))
    assert starts == {(top, left) for top in range(4) for left in range(4)}
    assert built("RandomCrop", size=6, padding=2)({"img": image()})["img"].shape == (3, 6, 6)


@pytest.mark.parametrize(("direction", "axis"), [("horizontal", 2), ("vertical", 1)])
def test_flips_by_their_probability(direction: str, axis: int) -> None:
    torch.manual_seed(0)
    flip = built("RandomFlip", prob=0.25, direction=direction)
    results = [flip({"img": image()})["img"] for _ in range(400)]
    flipped = [torch.equal(result, image().flip(axis)) for result in results]
    assert all(is_flipped or torch.equal(result, image()) for is_flipped, result in zip(flipped, results, strict=True))
    assert 70 < sum(flipped) < 130  # the deviation of 400 draws is 9


def test_normalize() -> None:
    values = built("Normalize", mean=[0.5, 0.25, 0], std=[0.5, 1, 2])({"img": image()})["img"]
    expected = (image().numpy() / 255 - np.array([0.5, 0.25, 0])[:, None, None]) / np.array([0.5, 1, 2])[:, None, None]
    np.testing.assert_allclose(values.numpy(), expected, atol=1e-6)
    assert values.dtype == torch.float32
    assert built("Normalize", mean=[1.0], std=[2.0])({"img": torch.ones(1, 2, 2)})["img"].sum() == 0


@pytest.mark.parametrize(
    ("name", "options", "sample", "message"),
    [
        ("LoadImage", {}, {"path": "a.png"}, r"LoadImage: the sample has no key 'img_path'; it has 'path'"),
        ("Resize", {"size": 3}, {"img": np.ones((2, 2, 3))}, r"Resize: 'img' must be a tensor .*ndarray of shape \(2, 2, 3\)"),
        ("Resize", {"size": 3}, [1], r"Resize takes a sample that is a mapping, got list"),
        ("CenterCrop", {"size": 3, "keys": ["a", "b"]}, {"a": torch.ones(1, 4, 4), "b": torch.ones(1, 5, 4)}, r"differ in size: a 4 x 4, b 5 x 4"),
        ("Normalize", {"mean": [0, 0], "std": [1, 1]}, {"img": torch.ones(3, 2, 2)}, r"a mean for 2 channels, and the image has 3"),
    ],
    ids=["key", "array", "list", "sizes", "channels"],
)  # fmt: skip
def test_samples_that_do_not_fit(name: str, options: dict[str, Any], sample: Any, message: str) -> None:
    with pytest.raises(TransformError, match=message):
        built(name, **options)(sample)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Resize", {"size": (1, 2, 3)}, r"Resize's size is \(height, width\) or a whole number, got \(1, 2, 3\)"),
        ("Resize", {"size": 2, "interpolation": "cubic"}, r"'bilinear' or 'nearest', not 'cubic'"),
        ("RandomFlip", {"prob": 2}, r"prob is a probability from 0 to 1, not 2"),
        ("RandomFlip", {"direction": "diagonal"}, r"'horizontal' or 'vertical', not 'diagonal'"),
        ("Normalize", {"std": [0, 1, 1]}, r"a deviation above 0 for each channel"),
    ],
)
def test_arguments_that_do_not_fit(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TransformError, match=message):
        built(name, **options)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(TransformError, match=r"a\.png is no image that Pillow reads"):
        LoadImage()({"img_path": tmp_path / "a.png"})
    picture(tmp_path / "b.png", size=(50, 50))
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:900])
    with pytest.raises(TransformError, match=r"b\.png is cut short or damaged"):
        LoadImage()({"img_path": tmp_path / "b.png"})
    with pytest.raises(FileNotFoundError, match=r"c\.png"):
        LoadImage()({"img_path": tmp_path / "c.png"})


@pytest.fixture
def small_net() -> Any:
    with MODELS.isolated():

        @MODELS.register_module()
        class SmallNet(nn.Module):
            def __init__(self, classes: int) -> None:
                super().__init__()
                self.body, self.head = nn.Conv2d(3, 4, 3, stride=2), nn.Linear(4, classes)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.head(self.body(x).relu().mean((2, 3)))

        yield


def config(root: Path, work_dir: Path, pipeline: list[Any], workers: int = 0, **settings: Any) -> dict[str, Any]:
    dataset = {"type": "ImageFolderDataset", "root": str(root), "pipeline": pipeline}
    loader = {"dataset": dataset, "batch_size": 4, "num_workers": workers}
    return {
        "model": {"type": "SmallNet", "classes": 2},
        "loss": {"type": "CrossEntropyLoss"},
        "work_dir": str(work_dir),
        "train_dataloader": {**loader, "shuffle": True},
        "train_cfg": {"max_epochs": 2},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
        "val_dataloader": loader,
        "val_cfg": {},
        "val_evaluator": {"type": "Accuracy"},
        "randomness": {"seed": 0},
        "log_level": "ERROR",
        **settings,
    }


PIPELINE = [
    {"type": "LoadImage"},
    {"type": "Resize", "size": 12},
    {"type": "RandomCrop", "size": 8, "padding": 1},
    {"type": "RandomFlip"},
    {"type": "Normalize"},
]


def weights(runner: Runner) -> torch.Tensor:
    return nn.utils.parameters_to_vector(runner.model.parameters()).detach()


def test_a_config_trains_from_a_folder_of_images_and_resumes(tmp_path: Path, small_net: None) -> None:
    for number in range(8):
        picture(tmp_path / "data" / "ab"[number % 2] / f"{number}.png", number, size=(10 + number, 20))
    straight = Runner.from_cfg(config(tmp_path / "data", tmp_path / "straight", PIPELINE, workers=2))
    straight.train()
    assert set(straight.val()) == {"accuracy", "loss"}
    resumed = Runner.from_cfg(
        config(
            tmp_path / "data", tmp_path / "resumed", PIPELINE,
            resume=True, load_from=str(tmp_path / "straight/epoch_1.pth"),
        )
    )  # fmt: skip
    resumed.train()
    assert torch.equal(
        weights(resumed), weights(straight)
    )  # without workers, too: the crops depend on the sample alone
