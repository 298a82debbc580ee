"""A small run over any data, stopped and resumed, for the tests of data libraries in this folder.

Every sample is a mapping with ``x`` (two numbers), ``y`` and ``number``. The model notes the number of each sample that it
trains on, so that a test sees which samples a run consumed and in which order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import Runner

SAMPLES = 24


class Gone(BaseException):
    """The process is gone: nothing of eng handles it."""


class Strike(Hook):
    """Ends the run behind the `number`-th training iteration."""

    priority = "LOWEST"

    def __init__(self, number: int) -> None:
        self.number = number

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter + 1 == self.number:
            raise Gone


class Line(BaseModel):
    """A linear model with dropout, which notes the samples that it trains on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fit = nn.Sequential(nn.Dropout(0.2), nn.Linear(2, 1))
        self.seen: list[int] = []

    def forward(self, x: Any, y: Any, number: Any, mode: str = "tensor") -> Any:
        error = (self.fit(torch.as_tensor(x).float())[:, 0] - torch.as_tensor(y).float()).square()
        if mode == "loss":
            self.seen += [int(value) for value in number]
            return {"loss": error.mean()}
        return [{"error": value, "number": int(count)} for value, count in zip(error, number, strict=True)]


class MeanError(BaseMetric):
    """The mean error, and how many samples it is the mean of."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [(float(sample["error"]), sample["number"]) for sample in data_samples]

    def compute_metrics(self, results: list[tuple[float, int]]) -> dict[str, float]:
        return {"error": sum(error for error, _ in results) / len(results), "samples": float(len(results))}


def sample(number: int) -> dict[str, Any]:
    return {"x": [number / SAMPLES, (number % 5) / 5], "y": 2.0 * number / SAMPLES, "number": number}


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """One mapping of tensors."""
    return {key: torch.tensor([item[key] for item in samples]) for key in ("x", "y", "number")}


def runner(folder: Path, train: Any, val: Any = None, **settings: Any) -> Runner:
    """A run over `train`, saved after each iteration."""
    train_cfg = settings.pop("train_cfg", {"by_epoch": False, "max_iters": 12, "val_interval": 5})
    validation = {"val_dataloader": val, "val_evaluator": MeanError(), "val_cfg": {}} if val is not None else {}
    return Runner(
        Line(), str(folder), train_dataloader=train, train_cfg=train_cfg,
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 1, "by_epoch": False, "max_keep_ckpts": 2}},
        randomness={"seed": 3}, log_level="WARNING", **validation, **settings,
    )  # fmt: skip


def weights(run: Runner) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(run.model.parameters()).detach().clone()


def stop_and_resume(folder: Path, make: Any, stop_at: int, **settings: Any) -> tuple[Runner, Runner]:
    """The run that was stopped behind iteration `stop_at`, and the one that resumed it, from loaders of `make()`.

    `make` gives the training loader and the validation loader (or None).
    """
    train, val = make()
    stopped = runner(folder, train, val, custom_hooks=[Strike(stop_at)], **settings)
    try:
        stopped.train()
    except Gone:
        pass
    else:
        raise AssertionError("the run was not stopped")
    train, val = make()
    resumed = runner(folder, train, val, resume=True, **settings)
    resumed.train()
    return stopped, resumed
