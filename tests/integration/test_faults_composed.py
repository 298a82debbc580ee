"""Runs put together at random, stopped at random points once or several times, end as runs that were left alone.

The composition is drawn from a number: optimizer, accumulation, schedule, average, loader (of eng or of torch), epochs or
iterations, checkpoints, best checkpoints, validation losses, intervals. Stops are of two kinds: the process is gone at once
(an exception that nothing handles stands for it here; `test_resume.py` uses SIGKILL), or a SIGTERM that is answered with a
checkpoint. The numbers are fixed; `test_resume.py` draws its kill points anew in each run.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from saved_bits import differences
from torch import nn
from torch.utils.data import DataLoader, Dataset

from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import RunInterrupted, Runner

POINTS = (
    "before_train_iter",
    "after_train_iter",
    "after_train_epoch",
    "before_val_epoch",
    "after_val_iter",
    "after_val_epoch",
    "before_save_checkpoint",
)


class Gone(BaseException):
    """The process is gone: nothing of eng handles it."""


class Stop(Hook):
    """Ends the run at the `number`-th call of a point, behind every other hook."""

    priority = "LOWEST"

    def __init__(self, point: str, number: int, politely: bool) -> None:
        self.number, self.politely, self.calls = number, politely, 0
        setattr(self, point, self.strike)

    def strike(self, *_: Any, **__: Any) -> None:
        self.calls += 1
        if self.calls == self.number:
            if not self.politely:
                raise Gone
            os.kill(os.getpid(), signal.SIGTERM)


class Noisy(Dataset):
    """Samples that draw from all three generators."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = index / self.length
        noise = [random.random(), float(np.random.rand()), float(torch.rand(()))]
        return torch.tensor([x, *noise]), torch.tensor([3 * x])


class Regression(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))

    def forward(self, x, y, mode="tensor"):
        error = (self.net(x) - y).square()
        return {"loss": error.mean()} if mode == "loss" else list(error)


class Error(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results += [float(value) for value in data_samples]

    def compute_metrics(self, results) -> dict[str, float]:
        return {"error": sum(results) / len(results), "score": -sum(results)}


SCHEDULES = {
    "none": None,
    "iterations": [dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=9)],
    "epochs": dict(type="StepLR", step_size=2),
    "metric": dict(type="ReduceOnPlateauLR", monitor="error", patience=0, factor=0.5),
    "updates": dict(type="ExponentialLR", gamma=0.9, by="update"),
}
AVERAGES = (
    None,
    dict(type="EMAHook", momentum=0.1),
    dict(type="EMAHook", begin_iter=6, update_buffers=True),
)
BEST = (None, "auto", ["error", "score"])


def composition(number: int) -> dict[str, Any]:
    """The settings that belong to a number; parts that hold state are made by `start`."""
    draw = random.Random(number)
    by_epoch = draw.random() < 0.5
    saves_by_epoch = by_epoch and draw.random() < 0.6
    return {
        "by_epoch": by_epoch,
        "samples": draw.choice([20, 24, 30]),
        "torch_loader": draw.random() < 0.5,
        "sampler": "DefaultSampler" if by_epoch else draw.choice(["DefaultSampler", "InfiniteSampler"]),
        "optimizer": draw.choice(["SGD", "Adam", "AdamW"]),
        "window": draw.choice([1, 3, 4]),
        "schedule": draw.choice(list(SCHEDULES)),
        "average": draw.choice(AVERAGES),
        "stops_early": draw.random() < 0.3,
        "val_interval": draw.choice([1, 2]) if by_epoch else draw.choice([3, 7]),
        "val_cfg": draw.choice([{}, {"loss": True}]),
        "checkpoint": {
            "interval": draw.choice([1, 2]) if saves_by_epoch else draw.choice([1, 3, 7]),
            "by_epoch": saves_by_epoch,
            "max_keep_ckpts": draw.choice([-1, 1, 2]),
            "save_best": draw.choice(BEST),
            "async_save": draw.random() < 0.2,
        },
    }


def start(work_dir: Path, chosen: dict[str, Any], resume: bool, stop: Stop | None = None) -> Runner:
    by_epoch, best = chosen["by_epoch"], chosen["checkpoint"]["save_best"]
    length = {"max_epochs": 4} if by_epoch else {"max_iters": 29}
    if chosen["torch_loader"]:
        train: Any = DataLoader(Noisy(chosen["samples"]), batch_size=5, shuffle=True)
    else:
        sampler = dict(type=chosen["sampler"], shuffle=True)
        train = dict(dataset=Noisy(chosen["samples"]), batch_size=5, sampler=sampler, collate_fn="default_collate")
    early = dict(type="EarlyStoppingHook", monitor="error", rule="less", patience=2, min_delta=0.05)
    hooks = [chosen["average"], early if chosen["stops_early"] else None, stop]
    rule = ["less", "greater"] if isinstance(best, list) else "less" if best else None
    runner = Runner(
        Regression(),
        str(work_dir),
        train_dataloader=train,
        val_dataloader=DataLoader(Noisy(9), batch_size=4),
        val_cfg=chosen["val_cfg"],
        val_evaluator=Error(),
        train_cfg=dict(by_epoch=by_epoch, val_interval=chosen["val_interval"], **length),
        optim_wrapper=dict(
            optimizer=dict(type=chosen["optimizer"], lr=0.02),
            accumulative_counts=chosen["window"],
            clip_grad=dict(max_norm=1.0),
        ),
        param_scheduler=SCHEDULES[chosen["schedule"]],
        default_hooks=dict(
            checkpoint=dict(type="CheckpointHook", rule=rule, **chosen["checkpoint"]),
            logger=dict(type="LoggerHook", interval=4),
        ),
        custom_hooks=[hook for hook in hooks if hook is not None],
        randomness=dict(seed=5),
        resume=resume,
        log_level="ERROR",
        experiment_name=f"composed_{random.SystemRandom().random()}",
    )
    try:
        runner.train()
    except (Gone, RunInterrupted):
        assert stop is not None
    return runner


def end_of(runner: Runner) -> dict[str, Any]:
    """Everything that must not depend on whether a run was stopped."""
    info = runner.message_hub.runtime_info
    hooks = {type(hook).__name__: hook for hook in runner.hooks}
    return {
        "weights": runner.model.state_dict(),
        "average": hooks["EMAHook"].ema_model.state_dict() if "EMAHook" in hooks else None,
        "patience": hooks["EarlyStoppingHook"].state_dict() if "EarlyStoppingHook" in hooks else None,
        "optimizer": runner.optim_wrapper.state_dict(),
        "schedules": [scheduler.state_dict() for scheduler in runner.param_schedulers or ()],
        "counters": (runner.epoch, runner.iter),
        "best": {name: value for name, value in info.items() if name.startswith("best_score")},
        "files": sorted(path.name for path in Path(runner.work_dir).glob("[!i]*.pth")),  # not interrupted_iter_*
    }


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [3, 8, 11, 14, 17, 28, 242291])
def test_stopped_runs_end_like_one_that_was_left_alone(number, tmp_path) -> None:
    print(f"number of this composition: {number}")
    chosen, draw = composition(number), random.Random(number + 1)
    undisturbed = end_of(start(tmp_path / "undisturbed", chosen, resume=False))
    for trial in range(2):
        folder = tmp_path / f"stopped_{trial}"
        stops = [(draw.choice(POINTS), draw.randint(1, 12), draw.random() < 0.5) for _ in range(draw.randint(1, 3))]
        for count, stop in enumerate(stops):
            start(folder, chosen, resume=count > 0, stop=Stop(*stop))
        ended = end_of(start(folder, chosen, resume=True))
        assert differences(ended, undisturbed) == [], f"stopped at {stops} in {chosen}"
