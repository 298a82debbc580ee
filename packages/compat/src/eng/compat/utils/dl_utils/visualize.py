"""Replaces ``mmengine.utils.dl_utils.visualize``: a training that computes only learning rates, to plot schedules."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from eng.hooks import RuntimeInfoHook
from eng.model import BaseModel
from eng.optim import OptimWrapper
from eng.registry import MODELS
from eng.visualization import Visualizer


@MODELS.register_module()
class ToyModel(BaseModel):
    """A model with one convolution, whose loss is always 0."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """Returns the loss 0."""
        return {"loss": torch.tensor(0.0)}


def update_params_step(self: Any, loss: Any) -> None:
    """Replaces ``OptimWrapper.update_params`` in `fake_run`; updates nothing."""


def runtimeinfo_step(self: Any, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
    """Replaces ``RuntimeInfoHook.before_train_iter`` in `fake_run`; logs learning rate and momentum of the first group."""
    runner.message_hub.update_info("iter", runner.iter)
    rates = runner.optim_wrapper.get_lr()
    momenta = runner.optim_wrapper.get_momentum()
    runner.message_hub.update_scalar("train/lr", rates["lr"][0])
    runner.message_hub.update_scalar("train/momentum", momenta["momentum"][0])


def fake_run(cfg: Any) -> None:
    """Runs the training of a config without updating parameters, so that only its schedules are computed.

    Args:
        cfg: config of a run.
    """
    from eng.runner import Runner

    if "data_preprocessor" in cfg:
        cfg.pop("data_preprocessor")
    with (
        patch.object(OptimWrapper, "update_params", update_params_step),
        patch.object(RuntimeInfoHook, "before_train_iter", runtimeinfo_step),
        patch.object(Visualizer, "add_datasample", lambda *args, **kwargs: None),
    ):
        Runner.from_cfg(cfg).train()
