"""Two ranks of gloo, started as a script by test_optimizers_over_ranks.py; prints what passed.

Each scenario trains with a Runner on two ranks, and with a loop of plain torch on the batches of both ranks in one process.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from schedule_free_sgd import ScheduleFreeSGD
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

from eng.hooks import FreezeHook
from eng.registry import OPTIMIZERS
from eng.runner import Runner

EPOCHS, SIZE, BATCH = 4, 16, 4
OPTIMIZERS.register_module(module=ScheduleFreeSGD)


class Points(Dataset):
    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(SIZE, 6, generator=generator)
        self.y = torch.randint(0, 3, (SIZE,), generator=generator)

    def __len__(self) -> int:
        return SIZE

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[index], self.y[index]


class Net(nn.Module):
    """With a BatchNorm layer whose statistics are not those of a new layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8))
        self.norm = nn.BatchNorm1d(8)
        self.norm.running_mean += 0.3
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.body(x)))


def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What both ranks together train on in an epoch, step by step."""
    points = Points()
    for start in range(0, SIZE, BATCH):
        yield points.x[start : start + BATCH], points.y[start : start + BATCH]


def by_hand(optimizers_for: Callable[[Net], list[Any]], frozen_until: int = 0) -> dict[str, torch.Tensor]:
    """Weights that a loop in one process ends with; `body` is frozen until an epoch, BatchNorm always."""
    model = Net()
    optimizers = optimizers_for(model)
    for epoch in range(EPOCHS):
        model.train()
        model.norm.eval()
        modes = [optimizer for optimizer in optimizers if hasattr(optimizer, "train")]
        for optimizer in modes:
            optimizer.train()
        for x, y in batches():
            functional.cross_entropy(model(x), y).backward()
            frozen = [*model.norm.parameters(), *(model.body.parameters() if epoch < frozen_until else ())]
            for parameter in frozen:
                parameter.grad = None
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
        for optimizer in modes:
            optimizer.eval()
    return model.state_dict()


def shared_folder() -> Path:
    folder = [tempfile.mkdtemp()]
    dist.broadcast_object_list(folder)
    return Path(folder[0])


def train(
    folder: Path, optimizer: dict[str, Any], freezing: list[dict[str, Any]], saves: bool, **settings: Any
) -> Runner:
    loader = {
        "dataset": Points(), "batch_size": BATCH // 2, "collate_fn": {"type": "default_collate"},
        "sampler": {"type": "DefaultSampler", "shuffle": False},
    }  # fmt: skip
    checkpoint = {"type": "CheckpointHook", "interval": 1, "by_epoch": False} if saves else None
    validation = {"val_dataloader": loader, "val_cfg": {"loss": True}, "val_evaluator": []}
    runner = Runner(
        Net(), str(folder), loss="CrossEntropyLoss", launcher="pytorch", env_cfg={"dist_cfg": {"backend": "gloo"}},
        train_dataloader=loader, train_cfg={"max_epochs": EPOCHS}, optim_wrapper={"optimizer": optimizer},
        default_hooks={"checkpoint": checkpoint, "logger": None}, log_level="ERROR",
        custom_hooks=[FreezeHook("norm"), *(FreezeHook(**hook) for hook in freezing)],
        **(validation if saves else {}), **settings,
    )  # fmt: skip
    runner.train()
    return runner


def weights(runner: Runner) -> dict[str, torch.Tensor]:
    state = runner.strategy.model_state(runner.model)
    return {name: value.detach().clone() for name, value in state.items()}


def compare(
    optimizer: dict[str, Any],
    expected: dict[str, torch.Tensor],
    *freezing: dict[str, Any],
    resumes_at: tuple[int, ...] = (3, 8, 9),
    **settings: Any,
) -> None:
    """Trained on two ranks: `expected` to 1e-5, and the same bits after a resume inside and between epochs."""
    plain = weights(train(shared_folder(), optimizer, freezing, saves=False, **settings))
    for name, value in plain.items():
        torch.testing.assert_close(
            value, expected[name], rtol=0, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )
    folder = shared_folder()
    runs = {"saved": train(folder, optimizer, freezing, saves=True, **settings)}
    for iteration in resumes_at:
        start = {"load_from": str(folder / f"iter_{iteration}.pth"), "resume": True}
        runs[f"resumed at {iteration}"] = train(shared_folder(), optimizer, freezing, saves=False, **start, **settings)
    for label, run in runs.items():
        different = [name for name, value in weights(run).items() if not torch.equal(value, plain[name])]
        assert different == [], (label, different)


def adamw(model: Net) -> list[Any]:
    return [torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)]


def muon_and_adamw(model: Net) -> list[Any]:
    matrices = [model.body[0].weight, model.body[2].weight]
    rest = [p for p in model.parameters() if not any(p is matrix for matrix in matrices)]
    return [torch.optim.Muon(matrices, lr=0.02), torch.optim.AdamW(rest, lr=1e-3)]


ADAMW = {"type": "AdamW", "lr": 0.05, "weight_decay": 0.1}
MUON = {"type": "Muon", "lr": 0.02, "split": {"type": "AdamW", "lr": 1e-3, "modules": ["head"]}}
SCHEDULE_FREE = {"type": "ScheduleFreeSGD", "lr": 0.2}
FREEZING = {"patterns": "body", "end": 2}
SHARDED = {"strategy": {"type": "FSDPStrategy"}}


def muon_with_adamw_for_the_rest() -> None:
    expected = by_hand(muon_and_adamw)
    compare(MUON, expected)
    compare(MUON, expected, **SHARDED)


def schedule_free() -> None:
    expected = by_hand(lambda model: [ScheduleFreeSGD(model.parameters(), lr=0.2)])
    compare(SCHEDULE_FREE, expected)
    compare(SCHEDULE_FREE, expected, **SHARDED)


def frozen_until_an_epoch() -> None:
    expected = by_hand(adamw, frozen_until=2)
    compare(ADAMW, expected, FREEZING)
    compare(ADAMW, expected, FREEZING, **SHARDED)
    for options in ({"find_unused_parameters": True}, {"static_graph": True}):
        wrapper = {"model_wrapper_cfg": {"type": "MMDistributedDataParallel", **options}}
        compare(ADAMW, expected, FREEZING, resumes_at=(), cfg=wrapper)


if __name__ == "__main__":
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=2)
    for scenario in (muon_with_adamw_for_the_rest, schedule_free, frozen_until_an_epoch):
        if scenario is muon_with_adamw_for_the_rest and not hasattr(torch.optim, "Muon"):
            continue
        scenario()
        print("passed", scenario.__name__, flush=True)
    dist.destroy_process_group()
