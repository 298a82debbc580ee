from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from inferencer_parts import Affine, Means

from eng.registry import MODELS


@pytest.fixture(autouse=True)
def registered():
    MODELS.register_module(module=Affine, force=True)
    yield
    del MODELS.module_dict["Affine"]


@pytest.mark.parametrize(
    ("choose", "expected"),
    [
        (lambda folder: str(folder / "1.npy"), [3.0]),
        (lambda folder: folder / "2.npy", [6.0]),
        (lambda folder: np.ones((2, 2), np.float32), [3.0]),
        (lambda folder: str(folder), [0.0, 3.0, 6.0]),
        (lambda folder: folder, [0.0, 3.0, 6.0]),
        (lambda folder: [str(folder / "2.npy"), np.ones((2, 2), np.float32)], [6.0, 3.0]),
        (lambda folder: (str(folder / "2.npy"),), [6.0]),
    ],
    ids=["path", "Path", "array", "directory", "directory Path", "mixed list", "tuple"],
)
def test_inputs(runs: Means, pictures: Path, choose, expected) -> None:
    assert runs(choose(pictures))["predictions"] == expected


def test_chunks_are_cut_from_any_items_without_the_pipeline(runs: Means) -> None:
    # Libraries override preprocess() and hand map(self.pipeline, inputs) over themselves.
    assert list(runs._get_chunk_data(iter("abc"), 2)) == [["a", "b"], ["c"]]
