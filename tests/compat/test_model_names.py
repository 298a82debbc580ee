"""Names of published weights lead where MMEngine 0.10.7 looks for them, with the alias or without."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from eng.checkpoint import CheckpointLoader, _loader
from eng.runner.checkpoint import get_external_models, get_mmcls_models

# Number of names and SHA-256 of the sorted table as JSON, made with MMEngine 0.10.7.
TABLES = {
    "open-mmlab": (get_external_models, 48, "90961660820f7422e4d9073179dbd81733078cb3cccd92343ef232efb7f5d1fb"),
    "mmcls": (get_mmcls_models, 57, "572f18b920dbdbd6d497b8b45e6884f6003fdd3be69b0b572ad18cc1016c75b3"),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_those_of_the_reference(name, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ENG_HOME", str(tmp_path))
    models, count, digest = TABLES[name]
    assert len(models()) == count
    assert hashlib.sha256(json.dumps(models(), sort_keys=True).encode()).hexdigest() == digest


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (
            "open-mmlab://resnet101_v1c",
            "https://download.openmmlab.com/pretrain/third_party/resnet101_v1c-e67eebb6.pth",
        ),
        ("openmmlab://resnet101_v1c", "https://download.openmmlab.com/pretrain/third_party/resnet101_v1c-e67eebb6.pth"),
        (
            "mmcls://mobilenet_v2",
            "https://download.openmmlab.com/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth",
        ),
        (
            "open-mmlab://resnet50_caffe",
            "https://download.openmmlab.com/pretrain/third_party/resnet50_caffe-788b5fa3.pth",
        ),
    ],
)
def test_a_name_in_a_config_leads_to_the_address(name, address, monkeypatch, tmp_path) -> None:
    asked = []

    def downloaded(url, *_):
        asked.append(url)
        torch.save({"backbone.w": torch.ones(1)}, tmp_path / "weights.pth")
        return tmp_path / "weights.pth"

    monkeypatch.setattr(_loader, "downloaded", downloaded)
    checkpoint = CheckpointLoader.load_checkpoint(name)
    assert set(asked) == {address}
    assert checkpoint.get("state_dict", checkpoint) in ({"backbone.w": 1}, {"w": 1})


def test_old_names_of_torchvision() -> None:
    pytest.importorskip("torchvision")
    from eng.checkpoint import get_torchvision_models

    models = get_torchvision_models()
    first, second = (f"https://download.pytorch.org/models/resnet50-{code}.pth" for code in ("0676ba61", "11ad3fa6"))
    for name in ("resnet50", "resnet50.imagenet1k_v1", "ResNet50_Weights.IMAGENET1K_V1"):
        assert models[name] == first
    assert models["resnet50.imagenet1k_v2"] == models["resnet50.default"] == second
    assert models["shufflenetv2_x0.5"] == "https://download.pytorch.org/models/shufflenetv2_x0.5-f707e7126e.pth"
