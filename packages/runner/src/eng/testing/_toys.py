"""A small model, dataset and metric, and configs for a training of one second, for tests."""

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
    """A model of two linear layers, whose loss is the sum of the differences between targets and scores.

    Args:
        data_preprocessor: see :class:`eng.model.BaseModel`.
    """

    def __init__(self, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.linear1 = nn.Linear(2, 2)
        self.linear2 = nn.Linear(2, 1)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Returns the losses in mode ``"loss"``, and the scores in all other modes."""
        if isinstance(inputs, list | tuple):
            inputs = torch.stack(list(inputs))
        if isinstance(data_samples, list | tuple):
            data_samples = torch.stack(list(data_samples))
        scores = self.linear2(self.linear1(inputs))
        if mode == "loss":
            loss = (data_samples - scores).sum()
            return {"loss": loss}
        return scores


class ToyDataset(Dataset[dict[str, torch.Tensor]]):
    """A dataset of twelve random points in the plane, all with the label 1."""

    METAINFO: ClassVar[dict[str, Any]] = {}
    data = torch.randn(12, 2)
    label = torch.ones(12)

    @property
    def metainfo(self) -> dict[str, Any]:
        """The metainfo of the dataset, an empty dict."""
        return self.METAINFO

    def __len__(self) -> int:
        return self.data.size(0)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"inputs": self.data[index], "data_samples": self.label[index]}


class ToyMetric(BaseMetric):
    """A metric that always returns the accuracy 1, or given values.

    Args:
        collect_device: see :class:`eng.evaluator.BaseMetric`.
        dummy_metrics: the values to return; None (default) returns ``{"acc": 1}``.
    """

    def __init__(self, collect_device: str = "cpu", dummy_metrics: dict[str, Any] | None = None) -> None:
        super().__init__(collect_device=collect_device)
        self.dummy_metrics = dummy_metrics

    def process(self, data_batch: Any, predictions: Any) -> None:
        """Appends one fixed result for the batch to ``self.results``."""
        self.results.append({"acc": 1})

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Returns the accuracy 1, or the values that were passed to the constructor."""
        if self.dummy_metrics is None:
            return {"acc": 1}
        return self.dummy_metrics


def epoch_based_cfg(work_dir: str) -> Any:
    """Returns the config of a training of three epochs with validation and test."""
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
    """Returns the config of a training of twelve iterations with validation and test."""
    cfg = copy.deepcopy(epoch_based_cfg(work_dir))
    cfg.train_dataloader = dict(cfg.train_dataloader, sampler={"type": "InfiniteSampler", "shuffle": True})
    cfg.train_cfg = {"by_epoch": False, "max_iters": 12, "val_interval": 4}
    cfg.log_processor = {"by_epoch": False}
    return cfg
