"""Streams and a model that notes its samples, for the tests of streams and of limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import Runner


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fit = nn.Linear(1, 1)
        self.seen: list[int] = []

    def forward(self, number: Any, mode: str = "tensor") -> Any:
        self.seen += [int(value) for value in number]
        return {"loss": (self.fit(number.float()[:, None]) - 1).square().mean() / 100}


class Count(IterableDataset):
    """The numbers below `stop`, with a position of its own where `is_stateful`."""

    def __init__(self, stop: int) -> None:
        self.stop, self.next = stop, 0
        self.reads: list[int] = []

    def __iter__(self) -> Iterator[int]:
        while self.next < self.stop:
            self.next += 1
            self.reads.append(self.next - 1)
            yield self.next - 1
        self.next = 0


class Stateful(Count):
    def state_dict(self) -> dict[str, int]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.next = state["next"]


class Gone(BaseException):
    pass


class Strike(Hook):
    priority = "LOWEST"

    def __init__(self, number: int) -> None:
        self.number = number

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter + 1 == self.number:
            raise Gone


def batches(numbers: list[int]) -> Iterator[dict[str, torch.Tensor]]:
    return iter([{"number": torch.tensor([number])} for number in numbers])


def run(folder: Path, loader: Any, train_cfg: dict[str, Any], **settings: Any) -> Runner:
    return Runner(
        Line(), str(folder), train_dataloader=loader, train_cfg=train_cfg,
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}, **settings.pop("wrapper", {})},
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 1, "by_epoch": False}},
        randomness={"seed": 0}, log_level="WARNING", **settings,
    )  # fmt: skip


def loader(dataset: Any) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=2, collate_fn=lambda numbers: {"number": torch.tensor(numbers)})


class Squares(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        return index
