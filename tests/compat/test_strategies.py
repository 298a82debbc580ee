"""Strategies and FlexibleRunner of the reference, used as its callers do."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from eng.compat.flexible_runner import FlexibleRunner
from eng.compat.strategies import (
    BaseStrategy,
    ColossalAIStrategy,
    DDPStrategy,
    FSDPStrategy,
    SingleDeviceStrategy,
)
from eng.model import BaseModel


class Line(BaseModel):
    """One weight and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor") -> dict[str, torch.Tensor]:
        return {"loss": (self.fit(x) - y).square().mean()}


def prepared(folder: Path) -> SingleDeviceStrategy:
    strategy = SingleDeviceStrategy(work_dir=str(folder), env_kwargs={"randomness": {"seed": 1}})
    strategy.prepare(
        Line(),
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
        param_scheduler={"type": "StepLR", "step_size": 1},
        dispatch_kwargs={"max_epochs": 2, "max_iters": 4, "epoch_length": 2},
    )
    return strategy


def test_a_strategy_prepares_saves_and_resumes_without_a_runner(tmp_path: Path) -> None:
    first = prepared(tmp_path)
    x = torch.linspace(0, 1, 4)[:, None]
    first.model.train_step({"x": x, "y": 3 * x}, first.optim_wrapper)
    first.param_schedulers[0].step()
    first.save_checkpoint(str(tmp_path / "one.pth"), extra_ckpt={"note": "kept", "meta": {"epoch": 1}})
    second = prepared(tmp_path)
    seen: list[str] = []
    checkpoint = second.resume(str(tmp_path / "one.pth"), callback=lambda found: seen.extend(found))
    assert checkpoint["note"] == "kept"
    assert {"state_dict", "optimizer", "param_schedulers", "meta"} <= set(seen)
    assert checkpoint["meta"]["epoch"] == 1
    for name, value in first.model_state_dict().items():
        torch.testing.assert_close(second.model_state_dict()[name], value, rtol=0, atol=0)
    assert second.optim_wrapper.get_lr() == first.optim_wrapper.get_lr()
    assert second.seed == first.seed == 1


def test_the_kinds_derive_from_each_other_as_in_the_reference() -> None:
    assert [issubclass(FSDPStrategy, kind) for kind in (DDPStrategy, SingleDeviceStrategy, BaseStrategy)] == [True] * 3


def test_colossalai_says_what_takes_its_place() -> None:
    with pytest.raises(ValueError, match="FSDP2"):
        ColossalAIStrategy()


def test_flexible_runner_trains_with_a_strategy(tmp_path: Path) -> None:
    x = torch.linspace(0, 1, 8)[:, None]
    runner = FlexibleRunner(
        Line(),
        work_dir=str(tmp_path),
        train_dataloader=DataLoader(TensorDataset(x, 3 * x), batch_size=4),
        train_cfg={"max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        strategy={"type": "SingleDeviceStrategy"},
        log_level="ERROR",
    )
    runner.train()
    assert (runner.epoch, runner.iter, runner.launcher) == (2, 4, "none")
    assert all(p.kind is not p.POSITIONAL_ONLY for p in inspect.signature(FlexibleRunner).parameters.values())
