"""One rank of a training job, started by torchrun or alone; options come as JSON, rank 0 writes a JSON report."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

START = time.time()

import torch
from torch import nn
from torch.utils.data import Dataset

from eng.dist import all_gather_object, all_reduce, get_rank, get_world_size
from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.logging import MessageHub
from eng.model import BaseModel
from eng.runner import Runner


class Points(Dataset[dict[str, Any]]):
    """``length`` points with a target each, which depend on their number only."""

    def __init__(self, length: int) -> None:
        generator = torch.Generator().manual_seed(7)
        self.inputs = torch.randn(length, 8, generator=generator)
        self.targets = torch.sin(self.inputs.sum(1, keepdim=True))

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"inputs": self.inputs[index], "targets": self.targets[index], "index": index}


class Block(nn.Module):
    """A residual layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.tanh(self.linear(x))


class Regressor(BaseModel):
    """A small network; ``scale`` blows the gradients up, ``unused`` adds a layer that takes no part."""

    def __init__(self, width: int = 16, depth: int = 3, unused: bool = False, random_init: bool = False) -> None:
        super().__init__()
        self.stem = nn.Linear(8, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.head = nn.Linear(width, 1)
        if unused:
            self.spare = nn.Linear(4, 4)
        self.random_init = random_init

    def init_weights(self) -> None:
        super().init_weights()
        if self.random_init:
            nn.init.normal_(self.head.weight)

    def forward(self, inputs: Any, targets: Any = None, index: Any = None, mode: str = "tensor") -> Any:
        inputs, targets = torch.stack(list(inputs)), torch.stack(list(targets))
        scores = self.head(self.blocks(torch.tanh(self.stem(inputs))))
        if mode == "loss":
            return {"loss": 10 * (scores - targets).square().mean()}
        return [{"index": i, "error": (s - t).square()} for i, s, t in zip(index, scores, targets, strict=True)]


class MeanError(BaseMetric):
    """The mean error, and how many samples of the data were counted."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [(int(sample["index"]), float(sample["error"])) for sample in data_samples]

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {
            "error": sum(error for _, error in results) / len(results),
            "counted": len(results),
            "distinct": len({index for index, _ in results}),
        }


class Recorder(Hook):
    """Keeps losses (over all ranks), norms, rates, samples and metrics; stops, fails or hangs where it is told."""

    priority = "LOWEST"

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.report: dict[str, Any] = {
            "losses": [],
            "norms": [],
            "lrs": [],
            "samples": [],
            "metrics": [],
            "first": None,
        }

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        trouble, mine = self.options.get("trouble"), get_rank() == self.options.get("trouble_rank", 1)
        if trouble is None or not mine or runner.iter != self.options["trouble_iter"]:
            return
        if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":
            return
        if trouble == "raise":
            raise ArithmeticError("the trouble that was asked for")
        if trouble == "kill":
            os.kill(os.getpid(), 9)
        time.sleep(600)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if self.report["first"] is None:
            self.report["first"] = time.time() - START
        loss = outputs["loss"].detach().clone().reshape(())
        all_reduce(loss, op="mean")
        self.report["losses"].append(float(loss))
        self.report["lrs"].append(runner.optim_wrapper.get_lr()["lr"][0])
        norm = MessageHub.get_current_instance().log_scalars.get("train/grad_norm")
        self.report["norms"].append(float(norm.current()) if norm is not None else None)
        indices = [int(i) for i in data_batch["index"]]
        self.report["samples"].append(sorted(sum(all_gather_object(indices), [])))

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.report["metrics"].append(dict(metrics))


def settings(options: dict[str, Any], recorder: Recorder) -> dict[str, Any]:
    """The arguments of the Runner."""
    batch = options.get("global_batch", 8) // get_world() if "batch_size" not in options else options["batch_size"]
    loader = {"batch_size": batch, "num_workers": 0, "sampler": {"type": "DefaultSampler", "shuffle": True}}
    length = options.get("length", 40)
    hooks: dict[str, Any] = {
        "checkpoint": {"type": "CheckpointHook", "interval": 1, "by_epoch": True, **options.get("checkpoint", {})},
        "logger": {"type": "LoggerHook", "interval": 1000},
    }
    cfg: dict[str, Any] = {"strategy": options.get("strategy"), "cfg": options.get("cfg")}
    return {
        "model": {"type": Regressor, **options.get("model", {})},
        "work_dir": options["work_dir"],
        "train_dataloader": {**loader, "dataset": Points(length)},
        "val_dataloader": {
            **loader,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "dataset": Points(options.get("val_length", 13)),
        },
        "train_cfg": {"by_epoch": True, "max_epochs": options.get("max_epochs", 2), "val_interval": 1},
        "val_cfg": {},
        "val_evaluator": MeanError(),
        "optim_wrapper": {
            "optimizer": {"type": "AdamW", "lr": 0.01},
            "clip_grad": {"max_norm": 1.0},
            **options.get("optim", {}),
        },
        "param_scheduler": {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 8},
        "default_hooks": hooks,
        "custom_hooks": [recorder, *options.get("hooks", [])],
        "launcher": "pytorch" if "RANK" in os.environ else "none",
        "env_cfg": {"dist_cfg": {"backend": "gloo", **options.get("dist", {})}},
        "randomness": {"seed": 3, **options.get("randomness", {})},
        "resume": options.get("resume", False),
        "load_from": options.get("load_from"),
        "log_level": "ERROR",
        "nan_policy": options.get("nan_policy", "warn"),
        **cfg,
    }


def get_world() -> int:
    """Ranks of the job, before there is a process group."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def main() -> None:
    """Trains, or validates, and reports."""
    options = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    recorder = Recorder(options)
    runner = Runner(**settings(options, recorder))
    if options.get("action") == "val":
        recorder.report["val"] = runner.val()
    else:
        runner.train()
    state = {
        name: value.full_tensor() if hasattr(value, "full_tensor") else value
        for name, value in runner.strategy.model_state(runner.model).items()
    }
    if get_rank() == 0:
        recorder.report["weights"] = {name: value.flatten().tolist() for name, value in state.items()}
        recorder.report["world_size"] = get_world_size()
        recorder.report["epoch"], recorder.report["iter"] = runner.epoch, runner.iter
        Path(options["report"]).write_text(json.dumps(recorder.report))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
