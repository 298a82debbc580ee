"""RuntimeInfoHook: writes the state of a run into the message hub, for components without access to the runner."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from eng.dataset._loader_parts import metainfo_of
from eng.logging.history_buffer import PACK_EVERY
from eng.registry import HOOKS

from .hook import DataBatch, Hook
from .view import RunnerView


def is_scalar(value: Any) -> bool:
    """Whether ``value`` is one number: a plain or numpy number, or a tensor or array with one element."""
    if isinstance(value, torch.Tensor):
        return value.numel() == 1
    if isinstance(value, np.ndarray):
        return bool(value.size == 1)
    return isinstance(value, (int, float, np.number, np.bool_))


@HOOKS.register_module()
class RuntimeInfoHook(Hook):
    """Stores epoch, iteration, learning rate, losses and metrics in the message hub.

    Losses are stored as the detached tensors that the model returned, so that the hook does not wait for the device.
    """

    priority = "VERY_HIGH"

    def before_run(self, runner: RunnerView) -> None:
        """Stores the config's text, the seed, the name of the experiment and the version of eng."""
        hub = runner.message_hub
        if hasattr(runner.cfg, "pretty_text"):
            text = runner.cfg.pretty_text
        else:
            text = str(runner.cfg)
        hub.update_info("cfg", text)
        hub.update_info("seed", runner.seed)
        hub.update_info("experiment_name", runner.experiment_name)
        hub.update_info("mmengine_version", self._engine_version())

    @staticmethod
    def _engine_version() -> str:
        return version("eng-runner")

    def before_train(self, runner: RunnerView) -> None:
        """Stores the epoch and iteration at which training starts, and the numbers of both at which training ends."""
        hub = runner.message_hub
        hub.update_info("loop_stage", "train")
        for name in ("epoch", "iter", "max_epochs", "max_iters"):
            hub.update_info(name, getattr(runner, name))
        self._update_dataset_meta(runner, "train_dataloader")

    def after_train(self, runner: RunnerView) -> None:
        """Removes ``loop_stage``, which was ``"train"``, from the message hub."""
        runner.message_hub.pop_info("loop_stage")

    def before_train_epoch(self, runner: RunnerView) -> None:
        """Stores the number of the epoch in the message hub."""
        runner.message_hub.update_info("epoch", runner.epoch)
        runner.message_hub.pack()

    def before_train_iter(self, runner: RunnerView, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Stores the iteration, and the learning rates of the first parameter group of each optimizer."""
        hub = runner.message_hub
        hub.runtime_info["iter"] = runner.iter
        if batch_idx % PACK_EVERY == PACK_EVERY - 1:
            hub.pack()
        for name, rates in runner.optim_wrapper.get_lr().items():
            rate = rates[0]
            if type(rate) is not float:
                rate = float(rate)
            hub.recorders["train/" + name](rate)

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Stores each loss that the training step returned, under ``train/<name>``."""
        hub = runner.message_hub
        for name, value in (outputs or {}).items():
            if type(value) is torch.Tensor and not value.requires_grad and value.dim() == 0:
                hub.recorders["train/" + name](value)
            else:
                hub.update_scalar("train/" + name, value)

    def before_val(self, runner: RunnerView) -> None:
        """Sets ``loop_stage`` in the message hub to ``"val"``, and remembers its value from before the validation."""
        self._last_stage = runner.message_hub.get_info("loop_stage")
        runner.message_hub.update_info("loop_stage", "val")
        self._update_dataset_meta(runner, "val_dataloader")

    def after_val(self, runner: RunnerView) -> None:
        """Restores the value of ``loop_stage`` from before the validation."""
        runner.message_hub.update_info("loop_stage", self._last_stage)

    def before_test(self, runner: RunnerView) -> None:
        """Sets ``loop_stage`` in the message hub to ``"test"``."""
        runner.message_hub.update_info("loop_stage", "test")
        self._update_dataset_meta(runner, "test_dataloader")

    def after_test(self, runner: RunnerView) -> None:
        """Removes ``loop_stage``, which was ``"test"``, from the message hub."""
        runner.message_hub.pop_info("loop_stage")

    def after_val_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Stores the metrics of the validation, under ``val/<name>``."""
        self._store_metrics(runner, "val", metrics)

    def after_test_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Stores the metrics of the test, under ``test/<name>``."""
        self._store_metrics(runner, "test", metrics)

    def _store_metrics(self, runner: RunnerView, mode: str, metrics: dict[str, float] | None) -> None:
        """Stores single numbers in the histories of the message hub, and other metrics as runtime information."""
        for name, value in (metrics or {}).items():
            if is_scalar(value):
                runner.message_hub.update_scalar(f"{mode}/{name}", value)
            else:
                runner.message_hub.update_info(f"{mode}/{name}", value)

    def _update_dataset_meta(self, runner: RunnerView, name: str) -> None:
        # The loop of another library may have no dataloader, so the attribute may be missing.
        metainfo = metainfo_of(getattr(runner, name, None))
        if metainfo is not None:
            runner.message_hub.update_info("dataset_meta", metainfo)
