"""A model, data and metric whose training is known in closed form, for tests in this process and in others."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eng.dataset import BaseDataset
from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.registry import DATASETS, HOOKS, METRICS, MODELS


@MODELS.register_module()
class Bowl(BaseModel):
    """``loss = curvature / 2 * weight ** 2`` from weight 1: SGD multiplies the weight by ``1 - lr * curvature``."""

    def __init__(self, curvature: float = 1.0, broken: bool = False, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor)
        if broken:
            raise RuntimeError("this model cannot be built")
        self.weight = nn.Parameter(torch.ones(()))
        self.curvature = curvature

    def forward(self, x: torch.Tensor, mode: str = "tensor") -> Any:
        if mode == "loss":
            return {"loss": 0.5 * self.curvature * self.weight.square() + 0 * torch.stack(list(x)).mean()}
        return [self.weight.detach().clone() for _ in x]


@DATASETS.register_module()
class Four(BaseDataset):
    """Four samples."""

    def __init__(self, fold: int = 0, num_samples: int = 4) -> None:
        self.fold = fold
        self.num_samples = num_samples
        super().__init__()

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"x": torch.tensor(float(number + self.fold))} for number in range(self.num_samples)]

    def prepare_data(self, idx: int) -> dict[str, torch.Tensor]:
        return {"x": self.get_data_info(idx)["x"]}


@METRICS.register_module()
class Distance(BaseMetric):
    """``distance``: the weight's magnitude; ``accuracy``: one minus it. ``fold`` adds to the distance."""

    def __init__(self, fold: int = 0) -> None:
        super().__init__()
        self.fold = fold

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(float(weight) for weight in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        distance = abs(results[0])
        return {"distance": distance + self.fold, "accuracy": 1 - distance}


@HOOKS.register_module()
class Diary(Hook):
    """Appends a line to ``diary.txt`` of the work dir for each start, iteration and kill; may be slow.

    Args:
        pause_s: time that each iteration takes longer.
    """

    def __init__(self, pause_s: float = 0.0) -> None:
        self.pause_s = pause_s

    def before_train(self, runner: Any) -> None:
        self._write(runner, f"start {runner.iter}")

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        time.sleep(self.pause_s)
        self._write(runner, f"iter {runner.iter}")

    def _write(self, runner: Any, line: str) -> None:
        with Path(runner.work_dir, "diary.txt").open("a") as file:
            file.write(f"{line} devices={os.environ.get('CUDA_VISIBLE_DEVICES', '')}\n")
