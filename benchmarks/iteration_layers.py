"""What each layer of an iteration adds to a bare loop: ``OMP_NUM_THREADS=1 python benchmarks/iteration_layers.py``.

All loops take turns in one process, after each epoch of a run with default hooks, on the small model of ``iteration_parts.py``. The
median time of an iteration is printed, and its difference to the bare loop.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from iteration_parts import BATCH, Mlp

from eng.hooks import Hook
from eng.runner import Runner

EPOCHS, LENGTH = 60, 50
Batch = tuple[torch.Tensor, torch.Tensor]


class Batches:
    """The same batch, `LENGTH` times per pass, with the time of each request."""

    dataset, batch_size = [0], None

    def __init__(self) -> None:
        self.times: list[float] = []

    def __len__(self) -> int:
        return LENGTH

    def __iter__(self) -> Iterator[Batch]:
        self.times.clear()
        for _ in range(LENGTH):
            self.times.append(time.perf_counter())
            yield BATCH
        self.times.append(time.perf_counter())


class Layers(Hook):
    """Runs the loops after each epoch of the run that it belongs to."""

    priority = "LOWEST"

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def after_train_epoch(self, runner: Any) -> None:
        """Measures one epoch of each loop."""
        self._store("the run itself")
        model, wrapper = runner.model, runner.optim_wrapper
        before, after = (runner.hook_list.methods_at(f"{when}_train_iter") for when in ("before", "after"))
        for name, with_hooks, with_step in (
            ("bare loop", False, False),
            ("hooks called directly", True, False),
            ("train_step", False, True),
            ("hooks called directly and train_step", True, True),
        ):
            for index, batch in enumerate(self.batches):
                for method in before if with_hooks else ():
                    method(runner, batch_idx=index, data_batch=batch)
                losses = model.train_step(batch, wrapper) if with_step else plain_step(model, wrapper.optimizer, batch)
                for method in after if with_hooks else ():
                    method(runner, batch_idx=index, data_batch=batch, outputs=losses)
            self._store(name)

    def _store(self, name: str) -> None:
        times = self.batches.times
        self.seconds[name] += [end - begin for begin, end in pairwise(times)]


def plain_step(model: Mlp, optimizer: torch.optim.Optimizer, batch: Batch) -> dict[str, torch.Tensor]:
    """A training step without eng."""
    loss = model(*batch, mode="loss")["loss"]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.detach()}


def main() -> None:
    """Trains, and prints a line per loop."""
    torch.set_num_threads(1)
    batches = Batches()
    layers = Layers(batches)
    Runner(
        Mlp(),
        tempfile.mkdtemp(),
        train_dataloader=batches,
        train_cfg={"by_epoch": True, "max_epochs": EPOCHS},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}},
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": LENGTH},
            "checkpoint": {"type": "CheckpointHook", "interval": EPOCHS + 1},
        },
        custom_hooks=[layers],
        log_level="ERROR",
    ).train()
    medians = {name: statistics.median(seconds) * 1e6 for name, seconds in layers.seconds.items()}
    for name, microseconds in medians.items():
        print(f"{name:<40} {microseconds:6.1f} us {microseconds - medians['bare loop']:+6.1f}")


if __name__ == "__main__":
    main()
