"""Where there is a GPU it is used: NCCL, half precision, a loop that does not wait for the device, pinned batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.hooks import Hook
from eng.model import BaseDataPreprocessor, BaseModel
from eng.runner import Runner

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.timeout(200),
]


@pytest.mark.parametrize("strategy", [None, {"type": "FSDP2"}], ids=["ddp", "fsdp"])
def test_a_rank_over_nccl_gives_the_numbers_of_the_cpu(job: Callable[..., Any], strategy: Any) -> None:
    options = {"max_epochs": 1, "strategy": strategy, "dist": {"backend": "nccl"}}
    on_gpu = job("gpu", 1, **options)
    on_cpu = job("cpu", 0, max_epochs=1, hidden_gpu=True)
    assert on_gpu.report["device"] == "cuda"
    assert on_cpu.report["device"] == "cpu"
    assert on_gpu.report["losses"] == pytest.approx(on_cpu.report["losses"], rel=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_over_nccl_computes_in_half(job: Callable[..., Any], dtype: str) -> None:
    options = {"max_epochs": 1, "dist": {"backend": "nccl"}, "optim": {"type": "AmpOptimWrapper", "dtype": dtype}}
    half = job(dtype, 1, **options).report
    assert dtype in half["dtypes"]
    assert half["kinds"] == ["float32"]
    whole = job("whole", 1, max_epochs=1, dist={"backend": "nccl"}).report
    assert half["losses"] == pytest.approx(whole["losses"], rel=0.05)


class OnDevice(BaseModel):
    """A linear model that notes where its inputs were and are."""

    def __init__(self) -> None:
        super().__init__(data_preprocessor=BaseDataPreprocessor(non_blocking=True))
        self.layer = nn.Linear(4, 1)
        self.devices: set[str] = set()

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor, mode: str = "tensor") -> Any:
        self.devices.add(inputs.device.type)
        return {"loss": (self.layer(inputs) - targets).square().mean()}


class RefuseToWait(Hook):
    """Makes anything that waits for the device an error, between two log points."""

    def __init__(self) -> None:
        self.pinned: list[bool] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.pinned.append(data_batch[0].is_pinned())
        torch.cuda.set_sync_debug_mode("error" if 2 <= batch_idx < 18 else "default")


def test_the_loop_does_not_wait_for_the_device_between_log_points(tmp_path: Path) -> None:
    data = TensorDataset(torch.randn(80, 4), torch.randn(80, 1))
    refuse = RefuseToWait()
    runner = Runner(
        OnDevice(),
        str(tmp_path),
        train_dataloader=DataLoader(data, batch_size=4, pin_memory=True, num_workers=1),
        train_cfg={"max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "AdamW", "lr": 0.01}, "clip_grad": {"max_norm": 1.0}},
        default_hooks={"checkpoint": None, "logger": {"type": "LoggerHook", "interval": 20}},
        custom_hooks=[refuse],
        log_level="ERROR",
    )
    try:
        runner.train()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert runner.model.devices == {"cuda"}
    assert all(refuse.pinned)
    assert runner.iter == len(refuse.pinned) == 20
