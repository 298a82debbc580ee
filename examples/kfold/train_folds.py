"""Trains the digits on each of k folds and prints the mean accuracy over the folds.

python examples/kfold/train_folds.py [--folds 5] [--work-dir work_dirs/kfold]
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from eng.dataset import KFoldDataset, default_collate
from eng.evaluator import BaseMetric
from eng.model import BaseModel
from eng.runner import Runner


class Classifier(BaseModel):
    """Two layers on the 64 pixels of a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, image: torch.Tensor, label: torch.Tensor, mode: str = "tensor") -> Any:
        """The loss, or whether each prediction is right."""
        scores = self.net(image)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(scores, label)}
        return [{"right": bool(right)} for right in scores.argmax(1) == label]


class Accuracy(BaseMetric):
    """The share of right predictions."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Keeps whether each prediction is right."""
        self.results += [sample["right"] for sample in data_samples]

    def compute_metrics(self, results: list[bool]) -> dict[str, float]:
        """The mean."""
        return {"accuracy": sum(results) / len(results)}


def train_fold(fold: int, folds: int, work_dir: Path) -> float:
    """Accuracy on the samples that a fold holds out."""
    digits = load_digits()
    data = TensorDataset(torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target))
    division = {"fold": fold, "num_splits": folds, "seed": 0}
    loader = {"batch_size": 64, "collate_fn": default_collate}
    runner = Runner(
        Classifier(),
        str(work_dir / f"fold_{fold}"),
        train_dataloader={
            **loader, "dataset": KFoldDataset(data, **division), "sampler": {"type": "DefaultSampler", "shuffle": True},
        },
        val_dataloader={**loader, "dataset": KFoldDataset(data, test_mode=True, **division)},
        train_cfg={"max_epochs": 3, "val_interval": 3},
        val_cfg={},
        val_evaluator=Accuracy(),
        optim_wrapper={"optimizer": {"type": "Adam", "lr": 0.01}},
        randomness={"seed": 0},
        experiment_name=f"fold_{fold}",
        log_level="ERROR",
    )  # fmt: skip
    runner.train()
    return float(runner.message_hub.get_scalar("val/accuracy").current())


def main() -> None:
    """Trains all folds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/kfold"))
    arguments = parser.parse_args()
    scores = [train_fold(fold, arguments.folds, arguments.work_dir) for fold in range(arguments.folds)]
    for fold, score in enumerate(scores):
        print(f"fold {fold}: {score:.4f}")
    print(f"mean {statistics.mean(scores):.4f}, standard deviation {statistics.stdev(scores):.4f}")


if __name__ == "__main__":
    main()
