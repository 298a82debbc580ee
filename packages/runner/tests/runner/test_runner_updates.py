"""Schedules that count optimizer updates, in runs that accumulate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.model import BaseModel
from eng.runner import Runner


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.fit = nn.Linear(1, 1)

    def forward(self, x, y, mode="tensor"):
        return {"loss": (self.fit(x) - y).square().mean()}


def run(tmp_path, accumulative_counts: int, **scheduler) -> tuple[Runner, list[float]]:
    x = torch.linspace(0, 1, 12)[:, None]
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x), batch_size=1)
    runner = Runner(
        Line(), str(tmp_path), train_dataloader=loader, train_cfg=dict(max_epochs=1), log_level="ERROR",
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1.0), accumulative_counts=accumulative_counts),
        param_scheduler=scheduler, default_hooks=dict(checkpoint=None),
    )  # fmt: skip
    rates: list[float] = []
    original = runner.model.train_step

    def noting(data, optim_wrapper):
        rates.append(optim_wrapper.optimizer.param_groups[0]["lr"])
        return original(data, optim_wrapper)

    runner.model.train_step = noting
    runner.train()
    return runner, rates


def test_the_rate_moves_with_updates_not_with_iterations(tmp_path) -> None:
    _, rates = run(tmp_path, 4, type="MultiStepLR", milestones=[1, 2], gamma=0.1, by="update")
    assert rates == pytest.approx([1.0] * 4 + [0.1] * 4 + [0.01] * 4)


@pytest.mark.parametrize("begin", [0, 1])
def test_a_later_begin_waits_for_updates_too(tmp_path, begin) -> None:
    _, rates = run(tmp_path, 3, type="ConstantLR", factor=0.5, by="update", begin=begin, end=begin + 2)
    assert rates == pytest.approx([1.0] * 3 * begin + [0.5] * 3 + [1.0] * (9 - 3 * begin))


def test_without_an_end_it_ends_with_the_run(tmp_path) -> None:
    runner, _ = run(tmp_path, 4, type="CosineAnnealingLR", by="update")
    assert runner.param_schedulers[0].end == 3


def test_states_are_kept_by_name(tmp_path) -> None:
    runner, _ = run(tmp_path, 1, type="ConstantLR", by_epoch=False)
    (group,) = runner.optim_wrapper.state_dict()["param_groups"]
    assert group["param_names"] == ["fit.weight", "fit.bias"]
