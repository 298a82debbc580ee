"""Five small tasks on which `find_lr` is measured: ``python lr_tasks.py`` prints the table of docs/tune.md.

The best rate of a task is that of 12 complete trainings at rates from 1e-5 to 3, half a decade apart (10 ** (-5 + 0.5 k)),
by the loss on unseen data.
"""

from __future__ import annotations

import math
import tempfile
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from eng.model import BaseModel

GRID = [10 ** (-5 + 0.5 * number) for number in range(12)]
NUM_ITERS = 160


class Net(BaseModel):
    """Layers with a loss."""

    def __init__(self, layers: nn.Module, loss: Any) -> None:
        super().__init__()
        self.layers, self.loss = layers, loss

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor") -> Any:
        out = self.layers(x)
        return {"loss": self.loss(out, y)} if mode == "loss" else out


def line(seed: torch.Generator) -> Any:
    x = torch.randn(2560, 10, generator=seed)
    y = x @ torch.randn(10, 1, generator=seed) + 0.1 * torch.randn(2560, 1, generator=seed)
    return x, y, lambda: nn.Linear(10, 1), F.mse_loss, {"type": "SGD"}


def rings(seed: torch.Generator) -> Any:
    angle = 2 * math.pi * torch.rand(2560, generator=seed)
    y = torch.randint(0, 2, (2560,), generator=seed)
    radius = 1 + y + 0.5 * torch.randn(2560, generator=seed)
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    layers = lambda: nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    return x, y, layers, F.cross_entropy, {"type": "Adam"}


def stripes(seed: torch.Generator) -> Any:
    y = torch.randint(0, 4, (2560,), generator=seed)
    grid = torch.arange(12.0)
    waves = torch.stack([torch.sin(grid[None, :] * (1 + label / 2)).expand(12, 12) for label in range(4)])
    x = waves[y][:, None] + 0.7 * torch.randn(2560, 1, 12, 12, generator=seed)
    layers = lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 4)
    )
    return x, y, layers, F.cross_entropy, {"type": "SGD", "momentum": 0.9}


def wave(seed: torch.Generator) -> Any:
    x = 4 * torch.rand(2560, 1, generator=seed) - 2
    y = torch.sin(3 * x) + 0.1 * torch.randn(2560, 1, generator=seed)
    return x, y, lambda: nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 1)), F.mse_loss, {"type": "AdamW"}


def code(seed: torch.Generator) -> Any:
    x = torch.randn(2560, 4, generator=seed) @ torch.randn(4, 24, generator=seed)
    layers = lambda: nn.Sequential(nn.Linear(24, 4), nn.Linear(4, 24))
    return x, x, layers, F.mse_loss, {"type": "RMSprop"}


TASKS = {"line, SGD": line, "rings, Adam": rings, "stripes, SGD with momentum": stripes, "wave, AdamW": wave,
         "code, RMSprop": code}  # fmt: skip


class Task:
    """One of the five tasks."""

    def __init__(self, name: str) -> None:
        x, y, layers, loss, self.optimizer = TASKS[name](torch.Generator().manual_seed(0))
        torch.manual_seed(1)
        self._state = layers().state_dict()
        self._layers, self._loss = layers, loss
        self.training, self.unseen = TensorDataset(x[:512], y[:512]), (x[512:], y[512:])

    def model(self) -> Net:
        """The model with its first weights, the same each time."""
        layers = self._layers()
        layers.load_state_dict(self._state)
        return Net(layers, self._loss)

    def loader(self) -> DataLoader[Any]:
        """The training data, in the same order each time."""
        return DataLoader(self.training, batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(2))

    def train(self, lr: float) -> float:
        """The loss on unseen data after a complete training with the bare library."""
        model = self.model()
        settings = {key: value for key, value in self.optimizer.items() if key != "type"}
        optimizer = getattr(torch.optim, self.optimizer["type"])(model.parameters(), lr=lr, **settings)
        loader, done = self.loader(), 0
        model.train()
        while done < NUM_ITERS:
            for x, y in loader:
                optimizer.zero_grad()
                model(x, y, mode="loss")["loss"].backward()
                optimizer.step()
                done += 1
        model.eval()
        with torch.no_grad():
            value = float(model(*self.unseen, mode="loss")["loss"])
        return value if math.isfinite(value) else math.inf

    def runner(self, work_dir: str, lr: float = 1e-3) -> Any:
        """A run of the task."""
        from eng.runner import Runner

        return Runner(
            self.model(), work_dir, train_dataloader=self.loader(), train_cfg={"by_epoch": False, "max_iters": NUM_ITERS},
            optim_wrapper={"optimizer": {**self.optimizer, "lr": lr}}, log_level="ERROR", default_hooks={"checkpoint": None},
        )  # fmt: skip

    def best_of_grid(self) -> tuple[float, float]:
        """The best rate of the grid and its loss."""
        losses = [self.train(lr) for lr in GRID]
        best = min(range(len(GRID)), key=losses.__getitem__)
        return GRID[best], losses[best]


def main() -> None:
    import time

    from eng.tune import find_lr

    print("| task | best of 12 | loss | `eng tune lr` | loss | factor |\n| --- | --- | --- | --- | --- | --- |")
    for name in TASKS:
        task = Task(name)
        lr, loss = task.best_of_grid()
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = find_lr(task.runner(folder)).suggestion
        seconds = time.perf_counter() - begin
        factor = max(found / lr, lr / found)
        print(
            f"| {name} | {lr:.3g} | {loss:.4f} | {found:.3g} | {task.train(found):.4f} | {factor:.1f} | {seconds:.1f} s"
        )


if __name__ == "__main__":
    main()
