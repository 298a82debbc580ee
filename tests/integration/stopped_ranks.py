"""Two ranks that are told to stop, started by `test_stopped_ranks.py` through torchrun.

    torchrun --nproc-per-node 2 stopped_ranks.py FOLDER

One run is left alone; others are stopped by a signal to one rank and go on. Rank 0 prints, as JSON, how each rank stopped and
what differs at the end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from saved_bits import differences
from torch import nn
from torch.utils.data import Dataset

from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import RunInterrupted, Runner

FOLDER = Path(sys.argv[1])


class Points(Dataset):
    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.tensor([index / self.length])
        return x + 0.01 * torch.rand(1), 3 * x


class Net(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.3), nn.Linear(8, 1))

    def forward(self, x, y, mode="tensor"):
        error = (self.net(x) - y).square()
        return {"loss": error.mean()} if mode == "loss" else list(error)


class Error(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results += [float(value) for value in data_samples]

    def compute_metrics(self, results) -> dict[str, float]:
        return {"error": sum(results) / len(results)}


class Strike(Hook):
    """Sends one rank a signal at the `number`-th call of a point, and the other one the same while the state is saved."""

    priority = "LOWEST"

    def __init__(self, point: str, number: int, name: str, rank: int) -> None:
        self.number, self.name, self.rank, self.calls = number, name, rank, 0
        setattr(self, point, self.count)

    def count(self, *args: Any, **kwargs: Any) -> None:
        self.calls += 1
        if self.calls == self.number and dist.get_rank() == self.rank:
            os.kill(os.getpid(), getattr(signal, self.name))

    def before_save_checkpoint(self, runner, checkpoint) -> None:
        if runner.preemption.reason is not None and dist.get_rank() != self.rank:
            os.kill(os.getpid(), getattr(signal, self.name))


def run(name: str, strike: Strike | None = None, resume: bool = False, **preemption: Any) -> list[Any]:
    """Trains for two epochs of 30 iterations; on each rank the exit status, where it stopped and the iterations done."""
    data = dict(batch_size=2, collate_fn="default_collate")
    runner = Runner(
        Net(), str(FOLDER / name), launcher="pytorch", env_cfg=dict(dist_cfg=dict(backend="gloo")),
        train_dataloader=dict(dataset=Points(120), sampler=dict(type="DefaultSampler", shuffle=True), **data),
        val_dataloader=dict(dataset=Points(50), sampler=dict(type="DefaultSampler", shuffle=False), **data),
        val_cfg={}, val_evaluator=Error(), train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=0.01)), custom_hooks=[strike] if strike else None,
        randomness=dict(seed=3), resume=resume, log_level="ERROR", experiment_name=f"{name}{resume}", preemption=preemption,
    )  # fmt: skip
    ended: list[Any] = [0, "", 0]
    try:
        runner.train()
    except RunInterrupted as stop:
        ended = [stop.code, stop.reason, 0]
    ended[2] = runner.iter
    of_ranks: list[Any] = [None, None]
    dist.all_gather_object(of_ranks, ended)
    return of_ranks


def of_interest(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Weights, the optimizer's state, and the generators of both ranks."""
    generators = [rank["now"] for rank in checkpoint["run_state"]["rng"]]
    return {"weights": checkpoint["state_dict"], "optimizer": checkpoint["optimizer"], "generators": generators}


def differences_at_the_end(name: str) -> list[str]:
    """What differs from the run that was left alone."""
    ours, theirs = (torch.load(FOLDER / folder / "epoch_2.pth") for folder in (name, "undisturbed"))
    return differences(of_interest(ours), of_interest(theirs))


STOPS: dict[str, Any] = {
    "in training": (Strike("after_train_iter", 13, "SIGTERM", rank=1), {}),
    "in the validation": (Strike("after_val_iter", 5, "SIGUSR1", rank=0), {}),
    "by the time budget": (None, {"time_budget_s": 0.0}),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    told: dict[str, Any] = {"undisturbed": run("undisturbed")}
    for name, (strike, preemption) in STOPS.items():
        stopped = run(name, strike, **preemption)
        told[name] = [stopped, run(name, resume=True), differences_at_the_end(name)]
    if dist.get_rank() == 0:
        print(json.dumps(told), flush=True)
    dist.barrier()
    dist.destroy_process_group()
