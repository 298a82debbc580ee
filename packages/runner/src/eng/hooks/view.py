"""What hooks and loops may read of a runner."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import nn

from eng.checkpoint import CheckpointWriter


@runtime_checkable
class SavesNow(Protocol):
    """A hook that can save the run at any point, as CheckpointHook does."""

    newest_whole: str | None

    def save_now(self, runner: RunnerView, name: str) -> str:
        """Saves the run as it stands under ``name`` and gives the path."""


def saver_of(hooks: Sequence[object]) -> SavesNow | None:
    """The first hook that can save the run at any point; None where there is none."""
    return next((hook for hook in hooks if isinstance(hook, SavesNow)), None)


@runtime_checkable
class SkipsIterations(Protocol):
    """A training loop that can leave iterations out and enter its data anew."""

    left_out: set[int]

    def forget_pass(self) -> None:
        """Gives up the current pass over the data."""


@runtime_checkable
class NamesSamples(Protocol):
    """A training loop that knows which samples of the dataset a batch has."""

    def sample_numbers(self, iteration: int | None = None) -> list[int] | None:
        """The numbers of the samples in the batch of an iteration; None where nobody can tell."""


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
    def hooks(self) -> Sequence[object]:
        """The hooks of the run, in their order."""

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
    def built_loops(self) -> Mapping[str, Any]:
        """The loops that are built, by mode: ``train``, ``val`` and ``test``."""

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

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict[str, Any] | None = None,
        by_epoch: bool | None = True,
        backend_args: dict[str, Any] | None = None,
        *,
        writer: CheckpointWriter | None = None,
        on_intact: Callable[[], None] = ...,
    ) -> None:
        """Writes the run's state."""

    def resume(self, filename: str) -> None:
        """Goes on where the run that wrote a checkpoint was."""

    def after_this_point(self, action: Callable[[], None]) -> None:
        """Runs ``action`` when all hooks of the current point have run."""
