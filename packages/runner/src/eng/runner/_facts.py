"""What may be read of a run."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from eng.dist import get_rank, get_world_size, is_distributed
from eng.hooks import Hook

from ._slot import Slot


class RunnerFacts:
    """The parts of a run and what is asked about it; nothing here changes anything.

    Attributes:
        model: the model, wrapped where the strategy wraps it.
        optim_wrapper: the optimizer with what surrounds it, or its config before training begins.
        param_schedulers: what moves learning rates and the like, or their configs before training begins.
        cfg: the whole config.
        strategy: how the model lives on its devices.
        logger: the run's logger.
        message_hub: logged values and facts.
        log_processor: what puts logs into lines.
        visualizer: where scalars and images go.
    """

    model: nn.Module
    optim_wrapper: Any
    param_schedulers: Any
    cfg: Any
    strategy: Any
    logger: logging.Logger
    message_hub: Any
    log_processor: Any
    visualizer: Any
    _train: Slot
    _val: Slot
    _test: Slot
    _settings: dict[str, Any]
    _randomness_cfg: dict[str, Any]
    _hooks: list[Hook]
    _work_dir: str
    _log_dir: str
    _timestamp: str
    _experiment_name: str
    _model_name: str
    _launcher: str
    _deterministic: bool
    _per_sample: bool
    _seed: int
    _resume: bool | str

    @property
    def experiment_name(self) -> str:
        """Name under which logger, message hub and visualizer are known."""
        return self._experiment_name

    @property
    def model_name(self) -> str:
        """Name of the model's class."""
        return self._model_name

    @property
    def work_dir(self) -> str:
        """Folder of checkpoints and of one folder per start."""
        return self._work_dir

    @property
    def log_dir(self) -> str:
        """Folder of this start's logs: ``work_dir/timestamp``."""
        return self._log_dir

    @property
    def timestamp(self) -> str:
        """When the run started: ``YYYYmmdd_HHMMSS``, the same on all ranks."""
        return self._timestamp

    @property
    def is_resuming(self) -> bool:
        """Whether the run goes on, or was asked to go on, from a checkpoint."""
        return bool(self._resume)

    @property
    def epoch(self) -> int:
        """Epochs that are over."""
        loop = self._train.value
        return loop.epoch if loop is not None else 0

    @property
    def iter(self) -> int:
        """Iterations that are over."""
        loop = self._train.value
        return loop.iter if loop is not None else 0

    @property
    def max_epochs(self) -> int:
        """Epochs of the whole run."""
        return self._train.value.max_epochs if self._train.value is not None else 0

    @property
    def max_iters(self) -> int:
        """Iterations of the whole run."""
        loop = self._train.value
        return loop.max_iters if loop is not None else 0

    @property
    def launcher(self) -> str:
        """How the processes were started."""
        return self._launcher

    @property
    def distributed(self) -> bool:
        """Whether this is one of several processes."""
        return is_distributed()

    @property
    def rank(self) -> int:
        """Number of this process."""
        return get_rank()

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return get_world_size()

    @property
    def deterministic(self) -> bool:
        """Whether only deterministic algorithms run."""
        return self._deterministic

    @property
    def seed(self) -> int | None:
        """Seed of the run."""
        return self._seed

    @property
    def hooks(self) -> list[Hook]:
        """The hooks, in their order."""
        return self._hooks

    @property
    def train_loop(self) -> Any:
        """The training loop, or its config before it is built."""
        return self._train.value if self._train.value is not None else self._train.setting

    @property
    def val_loop(self) -> Any:
        """The validation loop, or its config before it is built."""
        return self._val.value if self._val.value is not None else self._val.setting

    @property
    def test_loop(self) -> Any:
        """The test loop, or its config before it is built."""
        return self._test.value if self._test.value is not None else self._test.setting

    @property
    def train_dataloader(self) -> Any:
        """Batches to train on, or their config before the loop is built."""
        return self._train.value.dataloader if self._train.value is not None else self._settings["train_dataloader"]

    @property
    def val_dataloader(self) -> Any:
        """Batches to validate on, or their config before the loop is built."""
        return self._val.value.dataloader if self._val.value is not None else self._settings["val_dataloader"]

    @property
    def test_dataloader(self) -> Any:
        """Batches to test on, or their config before the loop is built."""
        return self._test.value.dataloader if self._test.value is not None else self._settings["test_dataloader"]

    @property
    def val_evaluator(self) -> Any:
        """The metrics of the validation."""
        return self._evaluator_of("val")

    @property
    def test_evaluator(self) -> Any:
        """The metrics of the test."""
        return self._evaluator_of("test")

    @property
    def val_interval(self) -> int:
        """Epochs or iterations between two validations."""
        return int(self._train.value.val_interval) if self._train.value is not None else 1

    @property
    def val_begin(self) -> int:
        """First epoch or iteration after which to validate."""
        return int(self._train.value.val_begin) if self._train.value is not None else 1

    def _evaluator_of(self, mode: str) -> Any:
        """The evaluator of a mode, from its loop once that is built."""
        loop = (self._val if mode == "val" else self._test).value
        return loop.evaluator if loop is not None else self._settings[f"{mode}_evaluator"]
