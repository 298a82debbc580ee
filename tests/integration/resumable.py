"""A small run with everything random in it, started by the tests of this folder in processes of its own.

    python resumable.py serve

takes one run a line from its standard input, as JSON (``args`` and ``reads``, see `main`), runs it in a fork of its own and
answers with a line (``status`` and what it printed): importing torch once for all runs is most of their time.

Dropout, shuffling, random augmentation, momentum, a schedule, accumulation over 3 iterations and an average of the weights:
a run that is killed and resumed must end with the bits of one that was not.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from eng.dataset import BaseDataset
from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
from eng.runner import Runner

SAMPLES, BATCH = 50, 5


@DATASETS.register_module()
class Numbers(BaseDataset):
    """Points on a line; every read is noted in the file that READS names."""

    def __init__(self, noted: bool = False, **kwargs) -> None:
        self.noted = noted
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        return [{"x": float(i) / SAMPLES, "number": i} for i in range(SAMPLES)]

    def __getitem__(self, index):
        if self.noted and os.environ.get("READS"):
            with open(os.environ["READS"], "a") as file:
                file.write(f"{int(index)}\n")
        return super().__getitem__(index)


@TRANSFORMS.register_module()
class Shake:
    """Draws from all three generators."""

    def __call__(self, results: dict) -> dict:
        noise = random.random() + float(np.random.rand()) + float(torch.rand(()))
        features = torch.tensor([results["x"], noise, results["x"] ** 2, 1.0])
        return {"inputs": features, "target": torch.tensor([results["x"] * 3])}


@MODELS.register_module()
class Regression(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))

    def forward(self, inputs, target, mode="tensor"):
        predicted = self.net(torch.stack(list(inputs)))
        error = (predicted - torch.stack(list(target))).square()
        return {"loss": error.mean()} if mode == "loss" else [{"error": value} for value in error]


@METRICS.register_module()
class MeanError(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results += [float(sample["error"]) for sample in data_samples]

    def compute_metrics(self, results) -> dict[str, float]:
        return {"error": sum(results) / len(results)}


@HOOKS.register_module()
class Strike(Hook):
    """Sends this process a signal at the `number`-th call of a point."""

    priority = "LOWEST"

    def __init__(self, point: str, number: int, name: str) -> None:
        self.number, self.name, self.calls = number, name, 0
        setattr(type(self), point, lambda hook, runner, *args, **kwargs: hook.strike())

    def strike(self) -> None:
        self.calls += 1
        if self.calls == self.number:
            os.kill(os.getpid(), getattr(signal, self.name))


def strike_at_flush(number: int) -> None:
    """Kills this process inside a save: at the `number`-th flush of a file or folder to the disk."""
    plain, calls = os.fsync, [0]

    def flush(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        plain(descriptor)

    os.fsync = flush


def config(args: argparse.Namespace) -> dict:
    def loader(noted: bool, shuffle: bool) -> dict:
        dataset = dict(type="Numbers", noted=noted, pipeline=[dict(type="Shake")])
        sampler = dict(type="DefaultSampler", shuffle=shuffle)
        return dict(dataset=dataset, sampler=sampler, batch_size=BATCH, num_workers=args.workers)

    by_epoch = not args.by_iter
    train_cfg = dict(by_epoch=True, max_epochs=4) if by_epoch else dict(by_epoch=False, max_iters=37, val_interval=9)
    hooks = [dict(type="EMAHook", momentum=0.1)]
    if args.kill:
        hooks.append(dict(type="Strike", point=args.kill[0], number=int(args.kill[1]), name="SIGKILL"))
    if args.signal:
        hooks.append(dict(type="Strike", point="after_train_iter", number=int(args.signal[1]), name=args.signal[0]))
    return dict(
        model=dict(type="Regression"),
        work_dir=args.work_dir,
        train_dataloader=loader(True, True),
        val_dataloader=loader(False, False),
        val_evaluator=dict(type="MeanError"),
        train_cfg=train_cfg,
        val_cfg=dict(),
        optim_wrapper=dict(
            type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05, momentum=0.9), accumulative_counts=3,
            clip_grad=dict(max_norm=1.0),
        ),
        param_scheduler=[
            dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=7),
            dict(type="CosineAnnealingLR", by_epoch=by_epoch),
        ],
        default_hooks=dict(
            checkpoint=dict(
                type="CheckpointHook", interval=1 if by_epoch else 4, by_epoch=by_epoch, save_best="error", rule="less",
                async_save=args.async_save,
            ),
            logger=dict(type="LoggerHook", interval=3),
        ),
        custom_hooks=hooks,
        randomness=dict(seed=7),
        resume=args.resume,
        log_level="WARNING",
    )  # fmt: skip


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work_dir")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--async-save", action="store_true")
    parser.add_argument("--by-iter", action="store_true")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--kill", nargs=2)
    parser.add_argument("--signal", nargs=2)
    args = parser.parse_args(words)
    if args.kill and args.kill[0] == "flush":
        strike_at_flush(int(args.kill[1]))
        args.kill = None
    Runner.from_cfg(config(args), check=False).train()


def run_and_end(run: Callable[[list[str]], None], words: list[str], errors: int) -> None:
    """What a fork does: the run, then an end as that of a process, with the run's exit status."""
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    status = 0
    try:
        run(words)
    except SystemExit as stop:
        status = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        status = 1
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def serve(run: Callable[[list[str]], None] = main) -> None:
    torch.set_num_threads(1)
    weight = torch.zeros(1, requires_grad=True)
    torch.optim.SGD([weight], lr=1).step()  # imports torch's compiler, which each fork would import for itself
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile() as errors:
            child = os.fork()
            if child == 0:
                os.environ["READS"] = asked["reads"]
                run_and_end(run, asked["args"], errors.fileno())
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            errors.seek(0)
            print(json.dumps({"status": status, "errors": errors.read().decode()[-3000:]}), flush=True)


if __name__ == "__main__":
    serve()
