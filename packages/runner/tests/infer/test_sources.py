from __future__ import annotations

from pathlib import Path

import pytest
import torch
from inferencer_parts import Affine, Means

from eng.registry import MODELS


@pytest.fixture(autouse=True)
def registered():
    MODELS.register_module(module=Affine, force=True)
    yield
    del MODELS.module_dict["Affine"]


def test_checkpoint_without_config(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.tensor(7.0)}}, tmp_path / "bare.pth")
    with pytest.raises(ValueError, match=r"bare\.pth' holds no config"):
        Means(weights=str(tmp_path / "bare.pth"))
