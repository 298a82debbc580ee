"""What the checks of `gpu_check.py` share: a run that costs little, and hooks that measure it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from eng.hooks import Hook
from eng.runner import Runner


class Setup(NamedTuple):
    """Where the checks run, and how large they are."""

    device: torch.device
    is_small: bool

    @property
    def repeats(self) -> int:
        """Iterations of a timing."""
        return 5 if self.is_small else 10

    def wait(self) -> None:
        """Waits until the device has done all work."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize()


class Repeat:
    """A loader that gives the same batch `length` times; it costs nothing."""

    def __init__(self, batch: Any, length: int) -> None:
        self.batch, self.length = batch, length
        self.dataset, self.batch_size = [0], None

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        return (self.batch for _ in range(self.length))


class Times(Hook):
    """Seconds of each epoch, with the device waited for at both ends."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.seconds: list[float] = []

    def before_train_epoch(self, runner: Any) -> None:
        """Notes the time."""
        self.setup.wait()
        self.began = time.perf_counter()

    def after_train_epoch(self, runner: Any) -> None:
        """Adds the seconds of the epoch."""
        self.setup.wait()
        self.seconds.append(time.perf_counter() - self.began)


class IterTimes(Hook):
    """Seconds between the ends of iterations, waits for the device included."""

    priority = "LOWEST"

    def __init__(self, setup: Setup, pause_at: int, pause_s: float) -> None:
        self.setup, self.pause_at, self.pause_s = setup, pause_at, pause_s
        self.seconds: list[float] = []
        self.last: float | None = None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Adds the seconds since the last iteration began."""
        self.setup.wait()
        if self.last is not None:
            self.seconds.append(time.perf_counter() - self.last)
        if batch_idx == self.pause_at:
            time.sleep(self.pause_s)
        self.last = time.perf_counter()


class Losses(Hook):
    """The loss of each iteration."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Adds the loss."""
        self.values.append(float(outputs["loss"]))


class RefuseToWait(Hook):
    """Makes whatever waits for the device an error in iterations 3 to 29.

    The first ones build what the later ones use, and behind the last one its losses are read.
    """

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Switches at iterations 3 and 30."""
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("error" if 2 <= batch_idx < 29 else "default")


class PeakMemory(Hook):
    """GiB that tensors took at most; looked at before each log point, which starts a new period."""

    def __init__(self) -> None:
        self.peak = 0.0

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Asks the device."""
        if torch.cuda.is_available():
            self.peak = max(self.peak, torch.cuda.max_memory_allocated() / 2**30)


def make_runner(
    model: Any, loader: Any, epochs: int = 1, optim: dict[str, Any] | None = None, **settings: Any
) -> Runner:
    defaults: dict[str, Any] = {
        "work_dir": tempfile.mkdtemp(),
        "train_cfg": {"by_epoch": True, "max_epochs": epochs},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 1e-3}, **(optim or {})},
        "default_hooks": {"checkpoint": None},
        "randomness": {"seed": 0},
        "log_level": "ERROR",
    }
    return Runner(model=model, train_dataloader=loader, **{**defaults, **settings})
