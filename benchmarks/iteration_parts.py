"""Where the time of an iteration goes: ``python benchmarks/iteration_parts.py [--repeats 150]``.

Each part of an iteration of the benchmark's small MLP is called alone and often. The least time of many short repeats is printed, so that
a busy machine does not decide; caches are warm in such repeats, and a whole run pays more for each part.
"""

from __future__ import annotations

import argparse
import tempfile
import timeit
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from eng.hooks import Hook, LoggerHook, NonFiniteLossHook
from eng.model import BaseModel
from eng.optim._clip import total_norm
from eng.runner import Runner
from eng.runner.hook_list import owner_name

CALLS = 20
BATCH = (torch.randn(8, 16), torch.randn(8, 1))
INTERVAL = 50


class Mlp(BaseModel):
    """The model of ``test_runner_loop.py``."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor") -> dict[str, torch.Tensor]:
        """The loss, whatever the mode."""
        return {"loss": (self.net(x) - y).square().mean()}


class Parts(Hook):
    """Measures the parts of the run that it belongs to, at the end of its epoch.

    Args:
        repeats: of each part.
    """

    priority = "HIGHEST"

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.microseconds: dict[str, float] = {}

    def least(self, call: Callable[[], object]) -> float:
        """The least time of a call, in microseconds."""
        return min(timeit.repeat(call, number=CALLS, repeat=self.repeats)) / CALLS * 1e6

    def after_train_epoch(self, runner: Any) -> None:
        """Measures."""
        self._bare()
        self._step(runner)
        losses = {"loss": torch.zeros(())}
        begin = {"batch_idx": 10, "data_batch": BATCH}
        self._point(runner, "before_train_iter", begin)
        self._point(runner, "after_train_iter", {**begin, "outputs": losses})
        self._log_point(runner, losses)

    def _bare(self) -> None:
        model = Mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        x, y = BATCH
        self.microseconds["bare: forward"] = self.least(lambda: model(x, y, mode="loss"))
        model(x, y)["loss"].backward()
        self.microseconds["bare: step"] = self.least(optimizer.step)
        self.microseconds["bare: zero_grad"] = self.least(optimizer.zero_grad)

    def _step(self, runner: Any) -> None:
        model, wrapper = runner.model, runner.optim_wrapper
        losses = model(*BATCH, mode="loss")

        def context() -> None:
            with wrapper.optim_context(model):
                pass

        self.microseconds["step: data preprocessor"] = self.least(lambda: model.data_preprocessor(BATCH, True))
        self.microseconds["step: optim_context"] = self.least(context)
        self.microseconds["step: parse_losses"] = self.least(lambda: model.parse_losses(losses))

    def _point(self, runner: Any, point: str, arguments: dict[str, Any]) -> None:
        self.microseconds[f"{point}: all"] = self.least(lambda: runner.call_hook(point, **arguments))
        for method in runner.hook_list.methods_at(point):
            cost = self.least(lambda method=method: method(runner, **arguments))  # type: ignore[misc]  # bound now
            self.microseconds[f"{point}: {owner_name(method)}.{method.__name__}"] = cost

    def _log_point(self, runner: Any, losses: dict[str, torch.Tensor]) -> None:
        """The work of a line in the log, as a share of an iteration."""
        logger = runner.hook_list.first(LoggerHook)
        watch = runner.hook_list.first(NonFiniteLossHook)
        for parameter in runner.model.parameters():
            parameter.grad = torch.zeros_like(parameter)

        def look() -> None:
            watch.after_train_iter(runner, 10, BATCH, losses)
            watch.look(runner)

        line = self.least(lambda: logger.after_train_iter(runner, INTERVAL - 1, BATCH, losses))
        norm = self.least(lambda: total_norm(list(runner.model.parameters())))
        for name, cost in (
            ("line and scalars", line),
            ("norm of the gradients", norm),
            ("losses read", self.least(look)),
        ):
            self.microseconds[f"log point / {INTERVAL}: {name}"] = cost / INTERVAL


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=150)
    parts = Parts(parser.parse_args().repeats)
    torch.set_num_threads(1)
    Runner(
        model=Mlp(),
        work_dir=tempfile.mkdtemp(),
        train_dataloader=[BATCH] * 100,
        train_cfg={"by_epoch": True, "max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}},
        default_hooks={"logger": {"type": "LoggerHook", "interval": INTERVAL}},
        custom_hooks=[parts],
        log_level="ERROR",
    ).train()
    for name, microseconds in parts.microseconds.items():
        print(f"{name:<60} {microseconds:8.2f} us")


if __name__ == "__main__":
    main()
