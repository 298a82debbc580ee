"""BaseInferencer: inputs, steps, models, threads, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from inferencer_parts import Affine, Means

from eng.dataset import pseudo_collate
from eng.infer import InputError
from eng.registry import MODELS


@pytest.fixture(autouse=True)
def registered():
    MODELS.register_module(module=Affine, force=True)
    yield
    del MODELS.module_dict["Affine"]


@pytest.mark.parametrize("dataloader", [None, [{"collate_fn": {"type": "default_collate"}}]], ids=["none", "several"])
def test_config_without_a_single_test_dataloader_collates_lists(dataloader) -> None:
    inferencer = Means({"model": {"type": "Affine"}, "test_dataloader": dataloader, "visualizer": None})
    assert inferencer.collate_fn is pseudo_collate
    assert inferencer.visualizer is None


def test_input_for_which_the_pipeline_gives_nothing(runs: Means) -> None:
    with pytest.raises(InputError, match="a ndarray cannot be used: the pipeline gives nothing"):
        runs(np.full((2, 2), 1000, np.float32))
