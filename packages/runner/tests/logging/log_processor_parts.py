"""Helpers of the tests of log processor."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from eng.logging import MessageHub


def make_runner(name, *, iteration=9, epoch=1, max_epochs=12, max_iters=50, length=25, train_loop=True):
    loop = SimpleNamespace(dataloader=[None] * length)
    hub = MessageHub(name)
    for step in range(iteration + 1):
        hub.update_scalars({"train/lr": 0.01, "train/data_time": 0.25, "train/loss": torch.tensor(step + 1.0)})
        hub.update_scalars(
            {"train/loss_cls": float(step), "train/loss_box": 1, "train/time": 0.5, "train/acc": 0.1 * step}
        )
    hub.update_info("eta", 40)
    return SimpleNamespace(
        message_hub=hub, iter=iteration, epoch=epoch, max_epochs=max_epochs, max_iters=max_iters, model=torch.nn.Identity(),
        train_loop=loop if train_loop else None, val_loop=loop, test_loop=loop,
    )  # fmt: skip
