"""Runs that end early on a terminal, one after another, each while its bars are drawn: for the terminal that a test holds.

python stopped_bars_driver.py FOLDER
"""

from __future__ import annotations

import os
import signal
import sys
import traceback

import torch

from eng.evaluator import BaseMetric
from eng.model import BaseModel
from eng.runner import Runner
from eng.runner.errors import RunInterrupted


class Stopped(BaseModel):
    """Ends its run in the fifth call of a mode, by a signal or an exception."""

    def __init__(self, cause: str, last_mode: str) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)
        self.cause, self.last_mode, self.calls = cause, last_mode, 0

    def forward(self, x=None, mode="tensor"):
        self.calls += mode == self.last_mode
        if self.calls == 5:
            self.stop()
        x = torch.stack(x)
        return {"loss": self.fit(x).square().mean()} if mode == "loss" else list(self.fit(x))

    def stop(self) -> None:
        if self.cause == "error":
            raise ValueError("the fifth call ends the run")
        if self.cause == "SIGINT":
            os.write(1, b"^C")  # as the terminal shows the key
        os.kill(os.getpid(), getattr(signal, self.cause))


class Count(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results.append(1)

    def compute_metrics(self, results):
        return {"samples": len(results)}


def main() -> None:
    loader = dict(dataset=[{"x": torch.ones(1)}] * 40, batch_size=1, num_workers=0)
    for last_mode in ("loss", "predict"):
        for cause in ("SIGINT", "SIGTERM", "error"):
            runner = Runner(
                Stopped(cause, last_mode), f"{sys.argv[1]}/{last_mode}_{cause}",
                train_dataloader=loader, val_dataloader=loader, train_cfg=dict(max_epochs=1), val_cfg={},
                val_evaluator=Count(prefix="count"), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
                default_hooks=dict(progress_bar=dict(type="ProgressBarHook", refresh_seconds=0.0)),
            )  # fmt: skip
            try:
                runner.train()
            except (RunInterrupted, ValueError):
                traceback.print_exc(limit=0)
            print(f"{last_mode} {cause}: over")


if __name__ == "__main__":
    main()
