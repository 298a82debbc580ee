"""One rank that measures: the time of bare loops beside the Runner's, bytes on the wire, the peak of its memory."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from eng.dist import all_reduce, barrier, get_rank, get_world_size, init_dist, start_watch
from eng.model import BaseModel
from eng.runner import Runner


class SmallCNN(BaseModel):
    """Three convolutions and a classifier."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, width, 3, 2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(width * 16, 10)

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor, mode: str = "tensor") -> dict[str, torch.Tensor]:
        return {"loss": nn.functional.cross_entropy(self.head(self.body(inputs)), labels)}


class Layers(BaseModel):
    """Linear layers of ``width`` in a row."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor, mode: str = "tensor") -> dict[str, torch.Tensor]:
        x = inputs
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return {"loss": (x - labels).square().mean()}


def batches(steps: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    count = steps * 16 * get_world_size()
    dataset = TensorDataset(torch.randn(count, 3, 32, 32), torch.arange(count) % 10)
    return DataLoader(dataset, batch_size=16, sampler=DistributedSampler(dataset, shuffle=False))


def bare(sharded: bool, loader: Any) -> float:
    """Seconds of a pass by torch alone."""
    model: Any = SmallCNN()
    if sharded:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        model = fully_shard(model, mesh=init_device_mesh("cpu", (get_world_size(),)))
    else:
        model = nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return timed(lambda: [step(model, optimizer, batch) for batch in loader])


def step(model: Any, optimizer: torch.optim.Optimizer, batch: list[torch.Tensor]) -> None:
    loss = model(*batch, mode="loss")["loss"]
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def through_runner(sharded: bool, loader: Any) -> float:
    """Seconds of the same pass by the Runner with its default hooks, without checkpoints."""
    runner = Runner(
        SmallCNN(),
        tempfile.mkdtemp(),
        train_dataloader=loader,
        train_cfg={"max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}},
        strategy="FSDP2" if sharded else None,
        default_hooks={"checkpoint": None},
        log_level="ERROR",
    )
    loop = runner.build_train_loop(runner.train_part.setting)
    runner.train_part.value = loop
    epoch, seconds = loop.run_epoch, []
    loop.run_epoch = lambda: seconds.append(timed(epoch))
    runner.train()
    return seconds[0]


def timed(action: Any) -> float:
    barrier()
    begin = time.perf_counter()
    action()
    taken = torch.tensor(time.perf_counter() - begin)
    all_reduce(taken, op="max")
    return float(taken)


def speed(rounds: int) -> dict[str, float]:
    """The median over the rounds of the Runner's time by the bare loop's, each round measuring both, and their times."""
    report = {}
    loader = batches(30)
    for name, sharded in (("ddp", False), ("fsdp", True)):
        bare(sharded, loader), through_runner(sharded, loader)
        pairs = []
        for i in range(rounds):  # the order changes, so that a machine that gets busier favours neither
            first, second = (through_runner, bare) if i % 2 else (bare, through_runner)
            times = {first: first(sharded, loader), second: second(sharded, loader)}
            pairs.append((times[through_runner], times[bare]))
        report[f"{name} ratio"] = statistics.median(ours / theirs for ours, theirs in pairs)
        report[name], report[f"{name}_bare"] = min(p[0] for p in pairs), min(p[1] for p in pairs)
    return report


STEP = "a step that is measured"
SHARDED = {"type": "FSDP2", "wrap_policy": {"classes": ["Linear"]}}
STRATEGIES: dict[str, Any] = {
    "ddp": None,
    "fsdp": SHARDED,
    "fsdp, kept": {**SHARDED, "reshard_after_forward": False},
    **{f"zero{i}": {"type": "DeepSpeedStrategy", "zero_optimization": {"stage": i}} for i in (1, 2, 3)},
}


def measured_layers(kind: str, width: int, depth: int, steps: int) -> dict[str, float]:
    """Trains linear layers under torch's profiler, which sees each allocation.

    Returns:
        What :func:`train_layers` gives, and ``peak``: the most bytes of tensors at one time in the steps after the first.
    """
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        report = train_layers(kind, width, depth, steps)
    events = recorded.profiler.kineto_results.events()
    spans = sorted((event.start_ns(), event.end_ns()) for event in events if event.name() == STEP)[1:]
    total = peak = 0
    for time_ns, size in sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"):
        total += size
        if any(begin <= time_ns <= end for begin, end in spans):
            peak = max(peak, total)
    return {**report, "peak": peak}


def train_layers(kind: str, width: int, depth: int, steps: int) -> dict[str, float]:
    """Trains linear layers.

    Returns:
        ``wire``, the bytes that went over this machine's loopback in a step; ``kept``, those of the parameters and
        optimizer state on this rank.
    """
    import psutil

    x = torch.randn(2 * steps * get_world_size(), width)  # a loader given as an object is shared out over the ranks
    runner = Runner(
        {"type": Layers, "width": width, "depth": depth},
        tempfile.mkdtemp(),
        train_dataloader=DataLoader(TensorDataset(x, x), batch_size=2),
        train_cfg={"max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "AdamW", "lr": 0.01}},
        strategy=STRATEGIES[kind],
        default_hooks={"checkpoint": None},
        log_level="ERROR",
        experiment_name=kind,
    )
    sent: list[int] = []
    train_step = runner.model.train_step

    def counted(*args: Any, **kwargs: Any) -> Any:
        barrier()
        begin = psutil.net_io_counters(pernic=True)["lo"].bytes_sent
        with torch.profiler.record_function(STEP):
            result = train_step(*args, **kwargs)
        barrier()
        sent.append(psutil.net_io_counters(pernic=True)["lo"].bytes_sent - begin)
        return result

    object.__setattr__(runner.model, "train_step", counted)
    runner.train()
    optimizer = runner.optim_wrapper.optimizer
    flat = getattr(
        getattr(getattr(runner.model, "engine", None), "optimizer", None), "fp32_partitioned_groups_flat", ()
    )
    tensors = [
        *runner.model.parameters(),
        *(p.ds_tensor for p in runner.model.parameters() if hasattr(p, "ds_tensor")),
        *(flat or (p for group in optimizer.param_groups for p in group["params"])),
        *(value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor)),
    ]
    local = [t.to_local() if hasattr(t, "to_local") else t for t in tensors]
    distinct = {t.data_ptr(): t.numel() * t.element_size() for t in local if t.numel()}
    return {"wire": sorted(sent)[len(sent) // 2], "kept": sum(distinct.values())}


def main() -> None:
    options = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    init_dist("pytorch", "gloo")
    start_watch()
    report: dict[str, Any] = {}
    if options["measure"] == "speed":
        report = speed(options.get("rounds", 15))
    else:
        for kind in options["kinds"]:
            train = measured_layers if kind == "ddp" else train_layers
            report[kind] = train(kind, options["width"], options["depth"], options["steps"])
        report["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if get_rank() == 0:
        Path(options["report"]).write_text(json.dumps(report))
    barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
