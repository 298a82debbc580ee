"""A small run with trackers, started by the tests of this folder in a process of its own.

python tracked_run.py WORK_DIR BACKENDS_AS_JSON [--resume] [--kill-at ITERATION]
"""

from __future__ import annotations

import argparse
import json
import os
import signal

import torch

from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import Runner


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, x, y, mode="tensor"):
        error = (self.fit(x) - y).square().mean()
        return {"loss": error} if mode == "loss" else [error]


class Error(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results.append(float(data_samples[0]))

    def compute_metrics(self, results):
        return {"error": sum(results)}


class Kill(Hook):
    priority = "LOWEST"

    def __init__(self, at: int) -> None:
        self.at = at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter + 1 == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work_dir")
    parser.add_argument("backends", type=json.loads)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill-at", type=int, default=-1)
    args = parser.parse_args()
    torch.manual_seed(0)
    x = torch.linspace(0, 1, 8)[:, None]
    loaders = [torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x), batch_size=2) for _ in range(2)]
    runner = Runner(
        Model(), args.work_dir, train_dataloader=loaders[0], val_dataloader=loaders[1], val_cfg={}, val_evaluator=Error(),
        train_cfg={"max_epochs": 3}, optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.05}}, resume=args.resume,
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": 1},
            "checkpoint": {"type": "CheckpointHook", "interval": 3, "by_epoch": False},
        },
        custom_hooks=[Kill(args.kill_at)], randomness={"seed": 0}, cfg={"vis_backends": args.backends},
        visualizer={"type": "Visualizer", "vis_backends": args.backends},
    )  # fmt: skip
    runner.train()


if __name__ == "__main__":
    main()
