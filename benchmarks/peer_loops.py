"""Measures an iteration of another engine beside a bare loop.

``python benchmarks/peer_loops.py {ignite,accelerate,lightning} ROUNDS ITERATIONS`` prints JSON: the median time of an
iteration of the bare loop and that of the engine, in microseconds. The interpreter needs torch and the engine, but not
eng. Model and batches are those of ``test_runner_loop.py``. As there, epochs of the bare loop and of the engine
alternate, on one thread. Each engine has its defaults, except that it shows no progress bar and no summary of the
model, and saves no checkpoint. Lightning logs its loss every 50 iterations; Ignite and Accelerate log nothing by
default.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BATCH = (torch.randn(8, 16), torch.randn(8, 1))


class Mlp(nn.Module):
    """The model of ``test_runner_loop.py``."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The prediction."""
        return self.net(x)


def loss_of(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The mean squared error."""
    return (prediction - target).square().mean()


class Batches:
    """One batch, ``length`` times per pass, and the times at which it was asked for."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.times: list[float] = []

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(self.length):
            self.times.append(time.perf_counter())
            yield BATCH


class BatchDataset(Dataset):
    """The batches of `Batches` as a dataset, because Accelerate wraps only a DataLoader."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.times: list[float] = []

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.times.append(time.perf_counter())
        return BATCH


def taken(source: Batches | BatchDataset) -> list[float]:
    """The seconds of the iterations since the last call."""
    seconds = [end - begin for begin, end in zip(source.times, source.times[1:])]
    source.times.clear()
    return seconds


class BareLoop:
    """The loop that the engine is compared with."""

    def __init__(self, source: Batches | BatchDataset, loader: Iterable[Any]) -> None:
        self.source, self.loader = source, loader
        self.model = Mlp()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.seconds: list[float] = []

    def epoch(self) -> None:
        """Trains for an epoch and stores the seconds of its iterations."""
        for x, y in self.loader:
            loss = loss_of(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        self.seconds += taken(self.source)


def bare_loop(length: int) -> BareLoop:
    """The bare loop over ready batches."""
    batches = Batches(length)
    return BareLoop(batches, batches)


def ignite(rounds: int, length: int) -> tuple[list[float], list[float]]:
    """Seconds of the iterations of the bare loop, and of Ignite's supervised trainer."""
    from ignite.engine import Events, create_supervised_trainer

    bare, source, seconds, model = bare_loop(length), Batches(length), [], Mlp()
    trainer = create_supervised_trainer(model, torch.optim.SGD(model.parameters(), lr=0.01), loss_of)
    trainer.add_event_handler(Events.EPOCH_STARTED, bare.epoch)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: seconds.extend(taken(source)))
    trainer.run(source, max_epochs=rounds)
    return bare.seconds, seconds


def accelerate(rounds: int, length: int) -> tuple[list[float], list[float]]:
    """Seconds of the iterations of the bare loop, and of a loop with Accelerate's model, optimizer and loader."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    bare_source, source, seconds, model = BatchDataset(length), BatchDataset(length), [], Mlp()
    bare = BareLoop(bare_source, DataLoader(bare_source, batch_size=None))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model, optimizer, loader = accelerator.prepare(model, optimizer, DataLoader(source, batch_size=None))
    for _ in range(rounds):
        bare.epoch()
        for x, y in loader:
            loss = loss_of(model(x), y)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
        seconds += taken(source)
    return bare.seconds, seconds


def lightning(rounds: int, length: int) -> tuple[list[float], list[float]]:
    """Seconds of the iterations of the bare loop, and of Lightning's Trainer."""
    from lightning.pytorch import Callback, LightningModule, Trainer

    bare, source, seconds = bare_loop(length), Batches(length), []

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = Mlp()

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            x, y = batch
            loss = loss_of(self.model(x), y)
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    class Turns(Callback):
        def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
            bare.epoch()

        def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
            seconds.extend(taken(source))

    Trainer(
        max_epochs=rounds,
        accelerator="cpu",
        devices=1,
        callbacks=[Turns()],
        default_root_dir=tempfile.mkdtemp(),
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    ).fit(Module(), source)
    return bare.seconds, seconds


ENGINES: dict[str, Callable[[int, int], tuple[list[float], list[float]]]] = {
    "ignite": ignite,
    "accelerate": accelerate,
    "lightning": lightning,
}


def main() -> None:
    """Prints the medians."""
    name, rounds, length = sys.argv[1:]
    torch.set_num_threads(1)
    print(json.dumps([statistics.median(seconds) * 1e6 for seconds in ENGINES[name](int(rounds), int(length))]))


if __name__ == "__main__":
    main()
