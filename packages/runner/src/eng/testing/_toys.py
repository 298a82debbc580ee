"""A model, a dataset, a metric and configs that train in a second."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
from torch import nn
from torch.utils.data import Dataset

from eng.config import Config
from eng.evaluator import BaseMetric
from eng.model import BaseModel

__all__ = ["ToyDataset", "ToyMetric", "ToyModel", "epoch_based_cfg", "iter_based_cfg"]


class ToyModel(BaseModel):
    """Two linear layers; the losses are sums of what they give.

    Args:
        data_preprocessor: see :class:`eng.model.BaseModel`.
    """

    def __init__(self, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.linear1 = nn.Linear(2, 2)
        self.linear2 = nn.Linear(2, 1)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Scores, a dict of losses or predictions, by `mode`."""
        batch = torch.stack(list(inputs)) if isinstance(inputs, list | tuple) else inputs
        targets = torch.stack(list(data_samples)) if isinstance(data_samples, list | tuple) else data_samples
        scores = self.linear2(self.linear1(batch))
        if mode == "loss":
            loss = (targets - scores).sum()
            return {"loss": loss}
        return scores


class ToyDataset(Dataset[dict[str, torch.Tensor]]):
    """Twelve random points of the plane, labelled 1."""

    METAINFO: ClassVar[dict[str, Any]] = {}
    data = torch.randn(12, 2)
    label = torch.ones(12)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Nothing."""
        return self.METAINFO

    def __len__(self) -> int:
        return self.data.size(0)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"inputs": self.data[index], "data_samples": self.label[index]}


class ToyMetric(BaseMetric):
    """Gives the accuracy 1, or the numbers that it was told to give.

    Args:
        collect_device: see :class:`eng.evaluator.BaseMetric`.
        dummy_metrics: what to give.
    """

    def __init__(self, collect_device: str = "cpu", dummy_metrics: dict[str, Any] | None = None) -> None:
        super().__init__(collect_device=collect_device)
        self.dummy_metrics = dummy_metrics

    def process(self, data_batch: Any, predictions: Any) -> None:
        """Notes that there was a batch."""
        self.results.append({"acc": 1})

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """The numbers."""
        return {"acc": 1} if self.dummy_metrics is None else self.dummy_metrics


def epoch_based_cfg(work_dir: str) -> Any:
    """Config of a training of three epochs with validation and test."""
    loader = {
        "dataset": {"type": ToyDataset},
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        "batch_size": 3,
        "num_workers": 0,
    }
    still = dict(loader, sampler={"type": "DefaultSampler", "shuffle": False})
    return Config(
        {
            "work_dir": work_dir,
            "model": {"type": ToyModel},
            "train_dataloader": loader,
            "val_dataloader": still,
            "test_dataloader": still,
            "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}},
            "train_cfg": {"by_epoch": True, "max_epochs": 3, "val_interval": 1},
            "val_cfg": {},
            "test_cfg": {},
            "val_evaluator": [{"type": ToyMetric}],
            "test_evaluator": [{"type": ToyMetric}],
            "default_hooks": {"logger": {"type": "LoggerHook", "interval": 1}},
            "custom_hooks": [],
            "env_cfg": {"dist_cfg": {"backend": "gloo"}},
        }
    )


def iter_based_cfg(work_dir: str) -> Any:
    """The same for twelve iterations."""
    cfg = copy.deepcopy(epoch_based_cfg(work_dir))
    cfg.train_dataloader = dict(cfg.train_dataloader, sampler={"type": "InfiniteSampler", "shuffle": True})
    cfg.train_cfg = {"by_epoch": False, "max_iters": 12, "val_interval": 4}
    cfg.log_processor = {"by_epoch": False}
    return cfg
