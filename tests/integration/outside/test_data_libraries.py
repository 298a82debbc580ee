"""Data of other libraries train by iterations and by epochs, validate and resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from data_runs import SAMPLES, collate, runner, sample, stop_and_resume, weights


def hugging_face_map() -> tuple[Any, Any]:
    datasets = pytest.importorskip("datasets")
    columns = {key: [sample(n)[key] for n in range(SAMPLES)] for key in ("x", "y", "number")}
    dataset = datasets.Dataset.from_dict(columns)
    loader = {"dataset": dataset, "batch_size": 4, "collate_fn": collate}
    return {**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}}, loader


EPOCHS = {"by_epoch": True, "max_epochs": 2}


def test_map_style_hugging_face_dataset_resumes_with_the_same_bits(tmp_path: Path) -> None:
    whole = runner(tmp_path / "whole", *hugging_face_map(), train_cfg=EPOCHS)
    whole.train()
    stopped, resumed = stop_and_resume(tmp_path / "stopped", hugging_face_map, stop_at=8, train_cfg=EPOCHS)
    assert torch.equal(weights(resumed), weights(whole))
    assert stopped.model.seen[: 4 * 8] + resumed.model.seen == whole.model.seen
    assert sorted(whole.model.seen[:SAMPLES]) == list(range(SAMPLES))
