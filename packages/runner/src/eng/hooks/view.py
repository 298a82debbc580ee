"""Protocols of what hooks and loops read of a runner, of other hooks and of optimizer wrappers."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeGuard, TypeVar, runtime_checkable

import torch
from torch import nn

from eng.checkpoint import CheckpointWriter

P = TypeVar("P")


def provides(value: object, protocol: Callable[..., P]) -> TypeGuard[P]:
    """Whether an object has every method and attribute that a protocol class declares itself.

    Unlike ``isinstance`` with a runtime-checkable protocol, this function also sees members that ``__getattr__``
    supplies, as in a wrapper around an object of another library. ``isinstance`` ignores those from Python 3.12 on.

    Args:
        value: the object.
        protocol: the protocol class, whose base classes are not looked at.
    """
    members = (*vars(protocol), *inspect.get_annotations(protocol))
    return all(hasattr(value, name) for name in members if not name.startswith("_"))


@runtime_checkable
class SavesNow(Protocol):
    """A hook that can save a checkpoint of the run at any time, as CheckpointHook does."""

    newest_whole: str | None

    def save_now(self, runner: RunnerView, name: str) -> str:
        """Saves the run's current state under ``name`` and returns the path."""


def saver_of(hooks: Sequence[object]) -> SavesNow | None:
    """Returns the first hook that can save a checkpoint of the run at any time; None if no hook can."""
    return next((hook for hook in hooks if isinstance(hook, SavesNow)), None)


@runtime_checkable
class SkipsIterations(Protocol):
    """A training loop that can leave out iterations and start a new pass over its data."""

    left_out: set[int]

    def forget_pass(self) -> None:
        """Ends the current pass over the data, so that the next iteration opens the dataloader again."""


@runtime_checkable
class NamesSamples(Protocol):
    """A training loop that knows which samples of the dataset are in a batch."""

    def sample_numbers(self, iteration: int | None = None) -> list[int] | None:
        """Returns the dataset indices of the samples in an iteration's batch; None if they are unknown."""


class CountsUnits(Protocol):
    """A parameter scheduler whose attribute ``by`` is its unit: ``"iter"``, ``"epoch"`` or ``"update"``."""

    by: str


class CastsForward(Protocol):
    """An optimizer wrapper that runs the forward pass under autocast; a ``cast_dtype`` of None is its default."""

    cast_dtype: torch.dtype | None


class MeasuresGradNorm(Protocol):
    """An optimizer wrapper that measures the gradient norm of its next update if ``wants_grad_norm`` is set to True."""

    wants_grad_norm: bool
    grad_norm: Any


class RunnerView(Protocol):
    """A runner as hooks see it: its parts, its counters and a few methods."""

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
        """The strategy, which places the model on its devices and writes its checkpoints."""

    @property
    def hooks(self) -> Sequence[object]:
        """The hooks of the run, in the order in which they are called."""

    @property
    def is_resuming(self) -> bool:
        """Whether the run resumes from a checkpoint."""

    @property
    def epoch(self) -> int:
        """Number of completed training epochs."""

    @property
    def iter(self) -> int:
        """Number of completed training iterations."""

    @property
    def max_epochs(self) -> int:
        """Number of epochs at which training ends."""

    @property
    def max_iters(self) -> int:
        """Number of iterations at which training ends."""

    @property
    def built_loops(self) -> Mapping[str, Any]:
        """The loops that are built already, by mode: ``train``, ``val`` and ``test``."""

    @property
    def train_loop(self) -> Any:
        """The training loop."""

    @property
    def train_dataloader(self) -> Any:
        """The dataloader of the training."""

    @property
    def val_dataloader(self) -> Any:
        """The dataloader of the validation."""

    @property
    def test_dataloader(self) -> Any:
        """The dataloader of the test."""

    @property
    def work_dir(self) -> str:
        """Folder of the run's checkpoints, with a timestamped subfolder of logs for each launch of the run."""

    @property
    def log_dir(self) -> str:
        """Folder of the logs of this launch: ``work_dir/timestamp``."""

    @property
    def timestamp(self) -> str:
        """Time at which the run started, as ``YYYYmmdd_HHMMSS``; the same on all ranks."""

    @property
    def experiment_name(self) -> str:
        """Name of the run, under which its logger, message hub and visualizer are registered."""

    @property
    def seed(self) -> int | None:
        """Random seed of the run; None if it is not fixed."""

    @property
    def rank(self) -> int:
        """Rank of this process in the process group; 0 without one."""

    @property
    def world_size(self) -> int:
        """Number of processes that train together."""

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Calls all hooks that override the method ``fn_name``."""

    def collect_checkpoint(self, save_optimizer: bool = True, save_param_scheduler: bool = True) -> dict[str, Any]:
        """Returns the run's state in the form of a checkpoint."""

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
        """Writes a checkpoint of the run's state."""

    def resume(self, filename: str) -> None:
        """Restores the state in a checkpoint, so that training continues from the checkpoint's iteration."""

    def after_this_point(self, action: Callable[[], None]) -> None:
        """Calls ``action`` after all hooks of the current point have been called."""
