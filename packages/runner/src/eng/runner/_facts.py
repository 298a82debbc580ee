"""What may be read of a run."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from eng.dist import get_rank, get_world_size, is_distributed
from eng.hooks import Hook

from ._slot import Slot
from .tuners import tuner


def setting_of(name: str) -> property:
    """What the Runner was given for a part: an object, a config, or what was assigned since."""

    def read(runner: Any) -> Any:
        return runner._settings[name]  # noqa: SLF001  # the Runner's own

    def assign(runner: Any, value: Any) -> None:
        runner._settings[name] = value  # noqa: SLF001  # the Runner's own

    return property(read, assign)


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

    def tune(self, setting: str, **options: Any) -> Any:
        """Measures a setting for this run, with eng-tune; the run stays as it is.

        Args:
            setting: ``"lr"``, ``"batch"`` or ``"workers"``.
            **options: of :func:`eng.tune.find_lr`, ``find_batch_size`` or ``find_workers``.

        Returns:
            What that function gives.

        Raises:
            SettingsError: eng-tune is not installed, or measures no such setting.
        """
        return tuner(setting)(self, **options)

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
        """Epochs of the whole run; builds the training loop. 0 where the run does not train."""
        loop = self.train_loop
        return loop.max_epochs if loop is not None else 0

    @property
    def max_iters(self) -> int:
        """Iterations of the whole run; builds the training loop. 0 where the run does not train."""
        loop = self.train_loop
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
        """The training loop, built when it is first read; None where the run does not train."""
        return self._train.get()

    @property
    def val_loop(self) -> Any:
        """The validation loop, built when it is first read; None where the run does not validate."""
        return self._val.get()

    @property
    def test_loop(self) -> Any:
        """The test loop, built when it is first read; None where the run does not test."""
        return self._test.get()

    # Hooks written for MMEngine ask `isinstance(runner._train_loop, dict)`, and put loops of their own here.

    @property
    def _train_loop(self) -> Any:
        """The training loop, or its config before it is built."""
        return self._train.peek()

    @_train_loop.setter
    def _train_loop(self, loop: Any) -> None:
        self._train.replace(loop)

    @property
    def _val_loop(self) -> Any:
        """The validation loop, or its config before it is built."""
        return self._val.peek()

    @_val_loop.setter
    def _val_loop(self, loop: Any) -> None:
        self._val.replace(loop)

    @property
    def _test_loop(self) -> Any:
        """The test loop, or its config before it is built."""
        return self._test.peek()

    @_test_loop.setter
    def _test_loop(self, loop: Any) -> None:
        self._test.replace(loop)

    # The same hooks read and assign what the Runner was given for its parts.

    _train_dataloader = setting_of("train_dataloader")
    _val_dataloader = setting_of("val_dataloader")
    _test_dataloader = setting_of("test_dataloader")
    _val_evaluator = setting_of("val_evaluator")
    _test_evaluator = setting_of("test_evaluator")
    auto_scale_lr = setting_of("auto_scale_lr")

    def _init_model_weights(self) -> None:
        """Lets the model set its weights, and gives all ranks those of rank 0."""
        self.strategy.init_weights(self.model)

    @property
    def train_dataloader(self) -> Any:
        """Batches to train on; builds the training loop."""
        return self._part("train", "dataloader")

    @property
    def val_dataloader(self) -> Any:
        """Batches to validate on; builds the validation loop."""
        return self._part("val", "dataloader")

    @property
    def test_dataloader(self) -> Any:
        """Batches to test on; builds the test loop."""
        return self._part("test", "dataloader")

    @property
    def val_evaluator(self) -> Any:
        """The metrics of the validation; builds the validation loop."""
        return self._part("val", "evaluator")

    @property
    def test_evaluator(self) -> Any:
        """The metrics of the test; builds the test loop."""
        return self._part("test", "evaluator")

    @property
    def val_interval(self) -> Any:
        """Epochs or iterations between two validations, a part of an epoch, or ``dict(minutes=...)``; builds the training loop."""
        loop = self.train_loop
        return loop.val_interval if loop is not None else 1

    @property
    def val_begin(self) -> int:
        """First epoch or iteration after which to validate; builds the training loop."""
        loop = self.train_loop
        return int(loop.val_begin) if loop is not None else 1

    def _part(self, mode: str, name: str) -> Any:
        """The dataloader or evaluator of a mode's loop; the setting where the run has no such loop."""
        loop = getattr(self, f"{mode}_loop")
        return getattr(loop, name) if loop is not None else self._settings[f"{mode}_{name}"]
