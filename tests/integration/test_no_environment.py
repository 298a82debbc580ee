"""No environment variable's value stands in any file that a run writes, whatever its config imports."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eng.config import Config
from eng.model import BaseModel
from eng.registry import DATASETS, MODELS
from eng.runner import Runner

SECRET = "sk-Zq8-eng-secret-Zq8"
TEXT = """
from os import environ, environb, getenv
import os
from sys import *
{extra}
model = dict(type='EnvironModel')
train_dataloader = dict(dataset=dict(type='EnvironData'), batch_size=2, num_workers=0)
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
"""


@DATASETS.register_module(force=True)
class EnvironData(torch.utils.data.Dataset[dict[str, float]]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, float]:
        return dict(inputs=float(index))


@MODELS.register_module(force=True)
class EnvironModel(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs: list[float], mode: str = "tensor") -> dict[str, torch.Tensor]:
        return dict(loss=sum(inputs) * self.weight)


@pytest.mark.parametrize("extra", ["", "from hypothesis import given\nused = dict(type=given)", "everything = environ"], ids=["text", "lazy", "assigned"])  # fmt: skip
def test_a_run_writes_no_environment_variable(extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENG_TEST_TOKEN", SECRET)
    path = tmp_path / "cfg" / "config.py"
    path.parent.mkdir()
    path.write_text(TEXT.format(extra=extra), encoding="utf-8")
    cfg = Config.fromfile(path)
    work_dir = tmp_path / "work"
    cfg.work_dir, cfg.experiment_name = str(work_dir), tmp_path.name
    Runner.from_cfg(cfg).train()
    files = [file for file in work_dir.rglob("*") if file.is_file()]
    assert {".pth", ".log", ".json"} <= {file.suffix for file in files}
    for file in files:
        assert SECRET.encode() not in file.read_bytes(), file
