from __future__ import annotations

import pytest
import torch
from transforms_parts import image

from eng.dataset import Compose, TransformError
from eng.registry import TRANSFORMS


def test_a_transform_of_torchvision_changes_the_image_alone() -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    sample = {"name": "a", "other": torch.ones(3, 6, 8), "img": image(), "label": 1}
    for transform in (
        {"type": "RandomHorizontalFlip", "p": 1.0},
        {"type": "torchvision.transforms.v2.RandomHorizontalFlip", "p": 1.0},
        {"type": "torchvision.transforms.RandomHorizontalFlip", "p": 1.0},
        v2.RandomHorizontalFlip(p=1.0),
        v2.Compose([v2.RandomHorizontalFlip(p=1.0)]),
    ):
        changed = Compose([transform])(sample)
        assert torch.equal(changed["img"], image().flip(2))
        assert type(changed["img"]) is torch.Tensor
        assert torch.equal(changed["other"], sample["other"])
        assert (changed["name"], changed["label"]) == ("a", 1)
    assert torch.equal(sample["img"], image())


def test_a_mask_moves_with_its_image_and_is_not_coloured() -> None:
    pytest.importorskip("torchvision.transforms.v2")
    options = {"keys": ["img"], "mask_keys": ["mask"]}
    rotated = TRANSFORMS.build(
        {"type": "TorchvisionTransform", "transform": {"type": "RandomRotation", "degrees": 45}, **options}
    )
    colored = TRANSFORMS.build({"type": "TorchvisionTransform", "transform": {"type": "RandomInvert", "p": 1.0}, **options})  # fmt: skip
    mask = (image()[:1] > 20).to(torch.uint8) * 7
    sample = {"img": mask.repeat(3, 1, 1) * 30, "mask": mask}
    turned = Compose([rotated])(sample)
    assert set(turned["mask"].unique().tolist()) <= {0, 7}
    assert not torch.equal(turned["mask"], mask)
    assert torch.equal(Compose([colored])(sample)["mask"], mask)


def test_a_transform_of_torchvision_without_its_image() -> None:
    pytest.importorskip("torchvision.transforms.v2")
    message = r"ColorJitter: the sample has no key 'img'; it has 'img_path'.*LoadImage.*keys="
    with pytest.raises(TransformError, match=message):
        Compose([{"type": "ColorJitter"}])({"img_path": "a.png"})
