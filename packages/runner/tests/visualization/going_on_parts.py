"""Helpers of the tests of going on."""

from __future__ import annotations

from pathlib import Path

import torch

from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import Runner

TRACKERS = [{"type": "LocalVisBackend"}, {"type": "TensorboardVisBackend"}]


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


class Extra(Hook):
    """Writes scalars of its own: at the end of iterations and of epochs; and stops the run where it is told to."""

    priority = "LOWEST"

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        runner.visualizer.add_scalar("extra/before", runner.iter, step=runner.iter)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self.stop_at == runner.iter:
            raise KeyboardInterrupt

    def after_train_epoch(self, runner) -> None:
        runner.visualizer.add_scalar("extra/epoch", runner.epoch, step=runner.epoch)


def run(
    work_dir: Path,
    stamp: str,
    *,
    stop_at: int | None = None,
    resume: bool = False,
    backends=TRACKERS,
    every=4,
    log_level="ERROR",
):
    class Stamped(Runner):
        """Starts of a test follow one another within a second; each gets a time of its own."""

        def setup_env(self, env_cfg) -> None:
            super().setup_env(env_cfg)
            self.timestamp = stamp

    torch.manual_seed(0)
    x = torch.linspace(0, 1, 8)[:, None]
    loader = [torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x), batch_size=2) for _ in range(2)]
    hooks = {"logger": {"type": "LoggerHook", "interval": 1}}
    hooks["checkpoint"] = {"type": "CheckpointHook", "interval": every, "by_epoch": False}
    runner = Stamped(
        Model(), str(work_dir), train_dataloader=loader[0], val_dataloader=loader[1], val_cfg={}, val_evaluator=Error(),
        train_cfg={"max_epochs": 3}, optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.05}}, resume=resume,
        default_hooks=hooks, custom_hooks=[Extra(stop_at)], randomness={"seed": 0}, log_level=log_level,
        visualizer={"type": "Visualizer", "vis_backends": backends}, experiment_name=work_dir.name,
    )  # fmt: skip
    try:
        runner.train()
    except KeyboardInterrupt:
        runner.visualizer.close()
    return work_dir / stamp / "vis_data"
