"""A run with several validation sets, inside of epochs and by minutes, for test_several_sets.py.

    python several_sets.py NAME KILLS FOLDER

Runs NAME undisturbed and then, for each number of the comma-separated KILLS, once more with a SIGKILL inside the validation:
at the n-th call of the model there. Each start is a fork, so that torch is imported once. Prints the kills that struck.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.hooks._timed import TimedInterval
from eng.model import BaseModel
from eng.runner import Runner

# By name: val_interval, and the interval of checkpoints. A step takes SECONDS on the clock of the case "clock".
INTERVALS: dict[str, tuple[Any, Any]] = {
    "part": (0.25, 1),
    "minutes": ({"minutes": 1e-9}, 1),
    "clock": ({"minutes": 0.3}, {"minutes": 0.2}),
}
SECONDS = 7.0


class Net(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.3), nn.Linear(8, 1))

    def forward(self, x: Any, y: Any, mode: str = "tensor") -> Any:
        error = (self.net(x)[:, 0] - y).square()
        return {"loss": error.mean()} if mode == "loss" else [{"error": float(value)} for value in error]


class Error(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [sample["error"] + float(torch.rand(())) for sample in data_samples]  # draws: a resume must too

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"error": sum(results) / len(results)}


class Clock(Hook):
    """A clock that each training iteration puts forward, so that minutes end at the same iterations in each run."""

    priority = "HIGHEST"

    def __init__(self) -> None:
        self.now = 0.0
        TimedInterval.__init__.__defaults__ = (lambda: self.now,)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.now += SECONDS


class Journal(Hook):
    """Writes the metrics of each validation, by its iteration."""

    priority = "LOWEST"

    def __init__(self, file: Path, kill_at: int = 0) -> None:
        self.file, self.kill_at, self.calls = file, kill_at, 0

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.calls += 1
        if self.calls == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps([runner.iter, metrics]) + "\n")


def loader(size: int, shift: float, shuffle: bool) -> DataLoader[Any]:
    x = torch.linspace(0, 1, 2 * size).reshape(size, 2) + shift
    return DataLoader(TensorDataset(x, x.sum(1)), batch_size=3, shuffle=shuffle)


def train(name: str, folder: Path, kill_at: int, resume: bool) -> None:
    torch.manual_seed(0)
    val_interval, interval = INTERVALS[name]
    clock = [Clock()] if name == "clock" else []
    Runner(
        Net(), str(folder), train_dataloader=loader(24, 0.0, True),
        train_cfg={"max_epochs": 2, "val_interval": val_interval, "val_sanity": 1},
        val_dataloader={"clean": loader(6, 0.0, True), "shifted": loader(5, 1.0, False)}, val_evaluator=Error(), val_cfg={},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.05, "momentum": 0.9}},
        param_scheduler={"type": "ReduceOnPlateauLR", "monitor": "shifted/error", "rule": "less", "patience": 0},
        default_hooks={
            "checkpoint": {
                "type": "CheckpointHook", "interval": interval, "by_epoch": False, "save_best": "clean/error", "rule": "less",
                "max_keep_ckpts": 2,
            }
        },
        custom_hooks=[*clock, Journal(folder.with_suffix(".jsonl"), kill_at)], randomness={"seed": 1}, resume=resume,
        log_level="ERROR",
    ).train()  # fmt: skip


def start(name: str, folder: Path, kill_at: int = 0, resume: bool = False) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(name, folder, kill_at, resume)
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    name, kills, root = sys.argv[1], [int(number) for number in sys.argv[2].split(",")], Path(sys.argv[3])
    ends = {0: [start(name, root / "whole")]}
    for number in kills:
        folder = root / f"killed_{number}"
        ends[number] = [start(name, folder, kill_at=number), start(name, folder, resume=True)]
    print(json.dumps(ends))
