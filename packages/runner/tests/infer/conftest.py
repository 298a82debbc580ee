"""Pictures to infer from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from inferencer_parts import Means


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three arrays: all zeros, all ones, all twos."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        np.save(folder / f"{number}.npy", np.full((2, 2), number, dtype=np.float32))
    return folder


@pytest.fixture
def runs() -> Means:
    return Means({"model": {"type": "Affine", "scale": 3.0}}, device="cpu", show_progress=False)
