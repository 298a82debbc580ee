"""Replays of CUDA graphs write each output to the same memory; here a backend for the CPU does the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import Runner


class IntoBuffer(torch.autograd.Function):
    """Copies a value into memory that it shares with the values before it."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, buffer: torch.Tensor) -> torch.Tensor:
        buffer.copy_(value)
        return buffer.detach()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grad, None


def replaying(graph: torch.fx.GraphModule, inputs: list[torch.Tensor], **options: Any) -> Callable[..., Any]:
    buffers: dict[int, torch.Tensor] = {}

    def run(*arguments: Any) -> tuple[Any, ...]:
        outputs = graph(*arguments)
        for number, output in enumerate(outputs):
            if number not in buffers or buffers[number].shape != output.shape:
                buffers[number] = output.detach().clone()
        return tuple(IntoBuffer.apply(output, buffers[number]) for number, output in enumerate(outputs))

    return run


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor, mode: str = "tensor") -> Any:
        output = self.layer(inputs)
        if mode == "predict":
            return [output]
        return {"loss": (output - targets).square().mean()}


class Keep(BaseMetric):
    """Keeps the predictions until the end, as metrics that compare all samples do."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[torch.Tensor]) -> dict[str, float]:
        return {f"sum_{number}": float(result.sum()) for number, result in enumerate(results)}


class KeepLosses(Hook):
    def __init__(self) -> None:
        self.losses: list[torch.Tensor] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.losses.append(outputs["loss"])


def train(folder: Path, **settings: Any) -> tuple[list[float], dict[str, float]]:
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(16, 3), torch.randn(16, 1))
    keep = KeepLosses()
    runner = Runner(
        Line(), str(folder), train_dataloader=DataLoader(data, batch_size=4), val_dataloader=DataLoader(data, batch_size=4),
        train_cfg={"max_epochs": 1}, val_cfg={}, val_evaluator=Keep(), custom_hooks=[keep], log_level="ERROR",
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}}, default_hooks={"checkpoint": None}, **settings,
    )  # fmt: skip
    runner.train()
    return [float(loss) for loss in keep.losses], runner.val()


@pytest.mark.parametrize("options", [{"mode": "reduce-overhead"}, {"mode": "max-autotune"}])
def test_losses_and_predictions_outlive_the_next_replay(tmp_path: Path, options: dict[str, Any]) -> None:
    losses, metrics = train(tmp_path / "plain")
    assert len(set(losses)) == 4
    assert len(set(metrics.values())) == 4
    replayed = train(tmp_path / "replayed", compile={"backend": replaying, **options})
    assert replayed[0] == pytest.approx(losses, rel=1e-5)
    assert replayed[1] == pytest.approx(metrics, rel=1e-4)


def test_without_graphs_nothing_is_copied(tmp_path: Path) -> None:
    losses, _ = train(tmp_path, compile={"backend": replaying})
    assert len(set(losses)) == 1
