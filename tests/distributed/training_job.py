"""One rank of a training job, started by torchrun or alone; options come as JSON, rank 0 writes a JSON report.

With ``jobs`` in the options it makes several runs one after another, which spares the start of processes.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from eng.dist import all_gather_object, all_reduce, get_rank, get_ranks_per_share, get_world_size
from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.hooks.preemption_hook import preemption_of
from eng.logging import MessageHub
from eng.model import BaseModel
from eng.optim import OptimWrapperDict, build_optim_wrapper
from eng.registry import OPTIM_WRAPPER_CONSTRUCTORS
from eng.runner import Runner
from eng.runner.strategy.shard_process import ShardProcess


class Points(Dataset[dict[str, Any]]):
    """``length`` points with a target each, which depend on their number only; they may take time."""

    def __init__(self, length: int, seconds: float = 0) -> None:
        self.seconds = seconds
        generator = torch.Generator().manual_seed(7)
        self.inputs = torch.randn(length, 8, generator=generator)
        self.targets = torch.sin(self.inputs.sum(1, keepdim=True))

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        time.sleep(self.seconds)
        return {"inputs": self.inputs[index], "targets": self.targets[index], "index": index}


class Sentences(Dataset[dict[str, Any]]):
    """``length`` sentences of tokens, each with the token that follows; some are not to be predicted. They may take time."""

    tokens, positions = 32, 16

    def __init__(self, length: int, seconds: float = 0) -> None:
        self.seconds = seconds
        generator = torch.Generator().manual_seed(7)
        sentences = torch.randint(self.tokens, (length, self.positions + 1), generator=generator)
        self.inputs, self.labels = sentences[:, :-1], sentences[:, 1:].clone()
        self.labels[torch.rand(self.labels.shape, generator=generator) < 0.3] = -100

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        time.sleep(self.seconds)
        return {"input_ids": self.inputs[index], "labels": self.labels[index], "index": index}


class Block(nn.Module):
    """A residual layer that notes how often it runs, and in which type."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.calls, self.dtypes = 0, set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        self.note(y)
        return x + torch.tanh(y)

    @torch.compiler.disable
    def note(self, y: torch.Tensor) -> None:
        self.calls += 1
        self.dtypes.add(str(y.dtype).removeprefix("torch."))


class WideBlock(Block):
    """A residual pair of layers, whose first one may be split by columns and the second by rows."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.linear, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.down(torch.tanh(self.linear(x)))
        self.note(y)
        return x + y


class BreakGradient(torch.autograd.Function):
    """Passes values on as they are, and NaN back in place of their gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] * float("nan")


class Regressor(BaseModel):
    """A small network; ``unused`` adds a layer that takes no part, ``norm`` one that looks at the whole batch.

    With ``weighted`` it says how many samples its loss is the mean of.
    """

    def __init__(
        self,
        width: int = 16,
        depth: int = 3,
        unused: bool = False,
        random_init: bool = False,
        norm: bool = False,
        weighted: bool = False,
        wide: bool = False,
    ) -> None:
        super().__init__()
        # A bias in front of a normalisation has no gradient but rounding errors, which Adam makes large.
        normed = nn.Sequential(nn.Linear(8, width, bias=False), nn.BatchNorm1d(width))
        self.stem = normed if norm else nn.Linear(8, width)
        self.breaks_gradient, self.forward_seconds = False, 0.0
        self.blocks = nn.Sequential(*((WideBlock if wide else Block)(width) for _ in range(depth)))
        self.head = nn.Linear(width, 1)
        if unused:
            self.spare = nn.Linear(4, 4)
        self.random_init, self.weighted = random_init, weighted

    def init_weights(self) -> None:
        super().init_weights()
        if self.random_init:
            nn.init.normal_(self.head.weight)

    def forward(self, inputs: Any, targets: Any = None, index: Any = None, mode: str = "tensor") -> Any:
        inputs, targets = torch.stack(list(inputs)), torch.stack(list(targets))
        time.sleep(self.forward_seconds)
        x = torch.tanh(self.stem(inputs))
        scores = self.head(self.blocks(BreakGradient.apply(x) if self.breaks_gradient else x))
        if mode == "loss":
            weight = {"loss_weight": len(inputs)} if self.weighted else {}
            return {"loss": 10 * (scores - targets).square().mean(), **weight}
        return [{"index": i, "error": (s - t).square()} for i, s, t in zip(index, scores, targets, strict=True)]


class AttentionBlock(Block):
    """Causal attention of several heads, then a residual layer."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__(width)
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.query, self.value, self.out = (nn.Linear(width, width) for _ in range(3))
        # A bias of keys has no gradient but rounding errors, which Adam makes large.
        self.key = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        parts = (layer(y).unflatten(-1, (-1, y.size(-1) // self.heads)) for layer in (self.query, self.key, self.value))
        q, k, v = (part.transpose(1, 2) for part in parts)
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return super().forward(x + self.out(y.transpose(1, 2).flatten(2)))


class Gpt(BaseModel):
    """A language model, whose loss is the mean over the tokens that are to be predicted.

    With ``counts`` it says how many those are, without it predicts all.
    """

    def __init__(self, width: int = 16, depth: int = 2, counts: bool = True) -> None:
        super().__init__()
        self.counts = counts
        self.tokens = nn.Embedding(Sentences.tokens, width)
        self.positions = nn.Embedding(Sentences.positions, width)
        self.blocks = nn.Sequential(*(AttentionBlock(width) for _ in range(depth)))
        self.head = nn.Linear(width, Sentences.tokens)

    def forward(
        self, input_ids: Any, labels: Any, index: Any = None, position_ids: Any = None, mode: str = "tensor"
    ) -> Any:
        if position_ids is None:
            position_ids = torch.arange(input_ids.size(1))
        scores = self.head(self.blocks(self.tokens(input_ids) + self.positions(position_ids))).float()
        if not self.counts:
            labels = labels.clamp(min=0)
        losses = nn.functional.cross_entropy(scores.transpose(1, 2), labels, reduction="none")
        is_asked = labels >= 0
        if mode == "loss":
            weight = {"loss_weight": is_asked.sum()} if self.counts else {}
            return {"loss": losses.sum() / is_asked.sum(), **weight}
        errors = losses.sum(1) / is_asked.sum(1)
        return [{"index": i, "error": error} for i, error in zip(index, errors, strict=True)]


class Game(BaseModel):
    """Two networks against each other, each with an optimizer of its own."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, 1))
        self.discriminator = nn.Sequential(nn.Linear(9, width), nn.Tanh(), nn.Linear(width, 1))

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        inputs, targets = torch.stack(list(data["inputs"])), torch.stack(list(data["targets"]))
        judged = self.judge(inputs, targets) - self.judge(inputs, self.generator(inputs).detach())
        optim_wrapper["discriminator"].update_params(nn.functional.softplus(-judged).mean())
        loss = nn.functional.softplus(-self.judge(inputs, self.generator(inputs))).mean()
        optim_wrapper["generator"].update_params(loss)
        return {"loss": loss.detach()}

    def judge(self, inputs: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        return self.discriminator(torch.cat([inputs, answers], 1))

    def forward(self, inputs: Any, targets: Any = None, index: Any = None, mode: str = "tensor") -> Any:
        made = self.generator(torch.stack(list(inputs)))
        return [{"index": i, "error": (s - t).square()} for i, s, t in zip(index, made, targets, strict=True)]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PartsForTest:
    """An optimizer for each part of a model."""

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: Any = None) -> None:
        self.cfg = optim_wrapper_cfg

    def __call__(self, model: Any) -> OptimWrapperDict:
        parts = {name: getattr(getattr(model, "module", model), name) for name in self.cfg}
        wrappers = {name: build_optim_wrapper(part, dict(self.cfg[name])) for name, part in parts.items()}
        return OptimWrapperDict(**wrappers)


def stop_process_at(name: str) -> None:
    """Stops rank 1's checkpoint process when it is to write the checkpoint of that name, so that the write never ends."""
    original = ShardProcess.save

    def save(self: ShardProcess, shards: Any, folder: str, group: Any) -> Any:
        if folder.endswith(name):
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGSTOP)
        return original(self, shards, folder, group)

    if get_world() > 1 and os.environ["RANK"] == "1" and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        ShardProcess.save = save  # type: ignore[method-assign]


MODELS = {"regressor": Regressor, "game": Game, "gpt": Gpt}


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
        self.report: dict[str, Any] = {"losses": [], "norms": [], "lrs": [], "samples": [], "metrics": []}

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if "journal" in self.options:
            self.act_in_journal(runner)
        if "slow_forward" in self.options and get_rank() == 1:
            getattr(runner.model, "module", runner.model).forward_seconds = self.options["slow_forward"]
        trouble, mine = self.options.get("trouble"), get_rank() == 1 % get_world_size()
        if trouble == "break":
            bare = getattr(runner.model, "module", runner.model)
            bare.breaks_gradient = mine and runner.iter == self.options["trouble_iter"]
            return
        if trouble is None or not mine or runner.iter != self.options["trouble_iter"]:
            return
        if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":
            return
        Path(self.options["work_dir"], "trouble.txt").write_text(str(time.time()))
        if trouble == "raise":
            raise ArithmeticError("the trouble that was asked for")
        if trouble == "kill":
            for child in multiprocessing.active_children():
                child.kill()
            os.kill(os.getpid(), 9)
        time.sleep(600)

    def act_in_journal(self, runner: Any) -> None:
        """Loses the node of the last rank once, and waits, when a rank is missing, until a node has joined."""
        journal = Path(self.options["journal"])
        lost = journal.with_suffix(".lost")
        if runner.iter == self.options["lose_at"] and get_rank() == get_world_size() - 1 and not lost.exists():
            lost.write_text(f"{get_world_size()}")
            os.kill(os.getppid(), 9)
            os.kill(os.getpid(), 9)
        if get_world_size() < self.options["nodes"] and runner.iter >= self.options["wait_at"]:
            deadline, preemption = time.monotonic() + 90, preemption_of(runner.hooks)
            while preemption.reason is None and time.monotonic() < deadline:
                time.sleep(0.05)  # the agents end this start by SIGTERM when the new node has joined

    def note_in_journal(self, runner: Any, indices: list[int]) -> None:
        """One line for each iteration of each start."""
        if get_rank() == 0:
            line = {
                "iter": runner.iter,
                "epoch": runner.epoch,
                "world": get_world_size(),
                "samples": indices,
                "loss": self.report["losses"][-1],
            }
            with Path(self.options["journal"]).open("a") as file:
                file.write(json.dumps(line) + "\n")

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        loss = outputs["loss"].detach().clone().reshape(())
        all_reduce(loss, op="mean")
        self.report["losses"].append(float(loss))
        rates = runner.optim_wrapper.get_lr()
        self.report["lrs"].append(next(iter(rates.values()))[0])
        norm = MessageHub.get_current_instance().log_scalars.get("train/grad_norm")
        self.report["norms"].append(float(norm.current()) if norm is not None else None)
        indices = [int(i) for i in data_batch["index"]]
        self.report["samples"].append(sorted(sum(all_gather_object(indices)[:: get_ranks_per_share()], [])))
        if "journal" in self.options:
            self.note_in_journal(runner, self.report["samples"][-1])

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        self.report["metrics"].append(dict(metrics))


def settings(options: dict[str, Any], recorder: Recorder) -> dict[str, Any]:
    """The arguments of the Runner."""
    batch = options.get("global_batch", 8) // get_world() if "batch_size" not in options else options["batch_size"]
    size = options.get("loader", {"batch_size": batch})
    loader = {**size, "num_workers": 0, "sampler": {"type": "DefaultSampler", "shuffle": True}}
    length = options.get("length", 40)
    slow = options.get("slow_data", 0) if os.environ.get("RANK") == "1" else 0
    hooks: dict[str, Any] = {
        "checkpoint": {"type": "CheckpointHook", "interval": 1, "by_epoch": True, **options.get("checkpoint", {})},
        "logger": {"type": "LoggerHook", "interval": 1000},
    }
    model = dict(options.get("model", {}))
    kind = model.pop("kind", "regressor")
    dataset = Sentences if kind == "gpt" else Points
    optim = {"optimizer": {"type": "AdamW", "lr": 0.01}, "clip_grad": {"max_norm": 1.0}}
    kept = {"strategy", "cfg", "compile", "activation_checkpointing", "param_scheduler"} & options.keys()
    return {
        "model": {"type": MODELS[kind], **model},
        "work_dir": options["work_dir"],
        "train_dataloader": {**loader, "dataset": dataset(length, slow)},
        "val_dataloader": {
            **loader,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "dataset": dataset(options.get("val_length", 13)),
        },
        "train_cfg": {"by_epoch": True, "max_epochs": options.get("max_epochs", 2), "val_interval": 1},
        "val_cfg": {},
        "val_evaluator": MeanError(),
        "optim_wrapper": options.get("optim_wrapper", {**optim, **options.get("optim", {})}),
        "param_scheduler": {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 8},
        "default_hooks": hooks,
        "custom_hooks": [recorder, *options.get("hooks", [])],
        "launcher": "pytorch" if "RANK" in os.environ else "none",
        "env_cfg": {"dist_cfg": {"backend": "gloo", **options.get("dist", {})}},
        "randomness": {"seed": 3, **options.get("randomness", {})},
        "resume": options.get("resume", False),
        "load_from": options.get("load_from"),
        "log_level": options.get("log_level", "ERROR"),
        "nan_policy": options.get("nan_policy", "warn"),
        "experiment_name": options.get("name"),
        **{key: options[key] for key in kept},
    }


def get_world() -> int:
    """Ranks of the job, before there is a process group."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Trains, or validates, and gives the report."""
    recorder = Recorder(options)
    graphs: list[Any] = []
    if "stop_save" in options:
        stop_process_at(options["stop_save"])
    if options.get("compile"):
        asked = options["compile"] if isinstance(options["compile"], dict) else {}
        torch.compiler.reset()  # graphs of earlier runs of this process count against the limit of this one's
        options = {**options, "compile": {"backend": lambda graph, _: graphs.append(graph) or graph.forward, **asked}}
    runner = Runner(**settings(options, recorder))
    if options.get("action") == "val":
        recorder.report["val"] = runner.val()
    else:
        runner.train()
    state = {
        name: value.full_tensor() if hasattr(value, "full_tensor") else value
        for name, value in runner.strategy.model_state(runner.model).items()
    }
    blocks = [part for part in runner.model.modules() if isinstance(part, Block)]
    return {
        **recorder.report,
        "weights": {name: value.float().flatten().tolist() for name, value in state.items()},
        "kinds": sorted({str(value.dtype).removeprefix("torch.") for value in state.values()}),
        "dtypes": sorted(set().union(*(block.dtypes for block in blocks))),
        "calls": sum(block.calls for block in blocks),
        "graphs": len(graphs),
        "device": next(runner.model.parameters()).device.type,
        "iter": runner.iter,
    }


def run_all(jobs: dict[str, dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Makes one run after another; the report of one that raises is its error."""
    reports: dict[str, Any] = {}
    for name, options in jobs.items():
        try:
            reports[name] = run({"work_dir": str(folder / name), "name": name, **options})
        except Exception as error:
            traceback.print_exc()
            reports[name] = {"error": f"{type(error).__name__}: {error}"}
    return reports


def main() -> None:
    """Does what the options say and reports."""
    options = json.loads(Path(sys.argv[1]).read_text())
    if options.get("hidden_gpu"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    if "RANK" in os.environ and os.environ["RANK"] == options.get("rank_of_another_torch"):
        torch.__version__ = "2.0.1"
    report = run_all(options["jobs"], Path(options["work_dir"])) if "jobs" in options else run(options)
    if get_rank() == 0:
        Path(options["report"]).write_text(json.dumps(report))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
