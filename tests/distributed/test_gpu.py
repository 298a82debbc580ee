"""Where there is a GPU it is used: NCCL, half precision, a loop that does not wait for the device, pinned batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from distributed_jobs import HERE, run_job
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


NCCL: dict[str, Any] = {"max_epochs": 1, "dist": {"backend": "nccl"}}
JOBS: dict[str, dict[str, Any]] = {
    "ddp": NCCL,
    "fsdp": {**NCCL, "strategy": {"type": "FSDP2"}},
    "float16": {**NCCL, "optim": {"type": "AmpOptimWrapper", "dtype": "float16"}},
    "bfloat16": {**NCCL, "optim": {"type": "AmpOptimWrapper", "dtype": "bfloat16"}},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Reports of runs on the GPU, all in one launch, as each start takes seconds; ``cpu`` is one on the CPU."""
    folder = tmp_path_factory.mktemp("gpu")
    script = HERE / "training_job.py"
    on_gpu = run_job(script, folder / "gpu", 1, {"jobs": JOBS}, timeout=60)
    assert on_gpu.code == 0, on_gpu.output[-4000:]
    on_cpu = run_job(script, folder / "cpu", 0, {"max_epochs": 1, "hidden_gpu": True}, timeout=60)
    assert on_cpu.code == 0, on_cpu.output[-4000:]
    return {**on_gpu.report, "cpu": on_cpu.report}


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_rank_over_nccl_gives_the_numbers_of_the_cpu(runs: dict[str, Any], strategy: str) -> None:
    assert runs[strategy]["device"] == "cuda"
    assert runs["cpu"]["device"] == "cpu"
    assert runs[strategy]["losses"] == pytest.approx(runs["cpu"]["losses"], rel=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_over_nccl_computes_in_half(runs: dict[str, Any], dtype: str) -> None:
    assert dtype in runs[dtype]["dtypes"]
    assert runs[dtype]["kinds"] == ["float32"]
    assert runs[dtype]["losses"] == pytest.approx(runs["ddp"]["losses"], rel=0.05)


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
