"""Samples per second and the share of time that waits for data, in the lines that every run leaves."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from eng.hooks._throughput import throughput
from eng.model import BaseModel
from eng.runner import Runner


class Slow(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        time.sleep(0.01)
        return {"inputs": torch.tensor(float(index))}


class Sleeps(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, inputs: Any, mode: str = "tensor") -> dict[str, torch.Tensor]:
        time.sleep(0.06)
        return {"loss": self.weight * 1.0}


def test_numbers_of_a_run_agree_with_its_clock(tmp_path: Path) -> None:
    loader = dict(dataset=Slow(), batch_size=4, num_workers=0)
    runner = Runner(Sleeps(), str(tmp_path), train_dataloader=loader, train_cfg=dict(max_epochs=1), log_level="ERROR",
                    optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)))  # fmt: skip
    runner.train()
    text = next(tmp_path.glob("*/vis_data/scalars.json")).read_text(encoding="utf-8")
    line = json.loads(text.splitlines()[-1])
    assert line["samples_per_s"] == pytest.approx(4 / line["time"])
    assert line["data_share"] == pytest.approx(line["data_time"] / line["time"])
    # 40 ms of loading and 60 ms of the step; a busy machine only adds to both.
    assert line["samples_per_s"] <= 4 / 0.1
    assert 0.2 < line["data_share"] < 0.6


def test_what_is_not_known_is_left_out() -> None:
    assert throughput({"time": 0.5, "data_time": 0.1}, None, 2) == {"data_share": 0.2}
    assert throughput({"time": 0.0, "data_time": 0.0}, 4, 1) == {}
    assert throughput({}, 4, 1) == {}
