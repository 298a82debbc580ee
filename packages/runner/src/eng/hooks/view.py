"""What hooks and loops may read of a runner."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from torch import nn


class RunnerView(Protocol):
    """A runner as its hooks see it: the parts, the counters and a few services."""

    model: nn.Module
    optim_wrapper: Any
    param_schedulers: Any
    message_hub: Any
    visualizer: Any
    log_processor: Any
    logger: logging.Logger
    cfg: Any

    @property
    def strategy(self) -> Any:
        """How the model lives on its devices, and how its checkpoints are written."""

    @property
    def is_resuming(self) -> bool:
        """Whether the run goes on from a checkpoint."""

    @property
    def epoch(self) -> int:
        """Epochs that are over."""

    @property
    def iter(self) -> int:
        """Iterations that are over."""

    @property
    def max_epochs(self) -> int:
        """Epochs of the whole run."""

    @property
    def max_iters(self) -> int:
        """Iterations of the whole run."""

    @property
    def train_loop(self) -> Any:
        """The training loop."""

    @property
    def train_dataloader(self) -> Any:
        """Batches to train on."""

    @property
    def val_dataloader(self) -> Any:
        """Batches to validate on."""

    @property
    def test_dataloader(self) -> Any:
        """Batches to test on."""

    @property
    def work_dir(self) -> str:
        """Folder of checkpoints and of one folder per start."""

    @property
    def log_dir(self) -> str:
        """Folder of this start's logs: ``work_dir/timestamp``."""

    @property
    def timestamp(self) -> str:
        """When the run started: ``YYYYmmdd_HHMMSS``, the same on all ranks."""

    @property
    def experiment_name(self) -> str:
        """Name under which logger, message hub and visualizer are known."""

    @property
    def seed(self) -> int | None:
        """Seed of the run."""

    @property
    def rank(self) -> int:
        """Number of this process."""

    @property
    def world_size(self) -> int:
        """Number of processes."""

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Calls every hook that acts at a point."""

    def collect_checkpoint(self, save_optimizer: bool = True, save_param_scheduler: bool = True) -> dict[str, Any]:
        """The run's state as a checkpoint holds it."""

    def save_checkpoint(self, out_dir: str, filename: str, **kwargs: Any) -> None:
        """Writes the run's state."""

    def after_this_point(self, action: Any) -> None:
        """Runs ``action`` when all hooks of the current point have run."""
