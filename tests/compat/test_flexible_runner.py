from __future__ import annotations

import inspect
from pathlib import Path

import torch
from strategies_parts import Line
from torch.utils.data import DataLoader, TensorDataset

from eng.compat.flexible_runner import FlexibleRunner
from eng.config import Config


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
    assert type(runner.strategy).__name__ == "SingleDeviceStrategy"


def test_flexible_runner_takes_all_but_the_model_by_keyword() -> None:
    model, *others = inspect.signature(FlexibleRunner).parameters.values()
    assert (model.name, model.kind) == ("model", model.POSITIONAL_OR_KEYWORD)
    assert {each.kind for each in others} <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


def test_flexible_runner_from_a_config(tmp_path: Path) -> None:
    cfg = Config({"model": Line(), "work_dir": str(tmp_path), "default_scope": "mmengine", "log_level": "ERROR"})
    runner = FlexibleRunner.from_cfg(cfg)
    assert isinstance(runner, FlexibleRunner)
    assert runner.work_dir == str(tmp_path)
    assert runner.default_scope == "eng"
    built = runner.build_strategy(
        {"type": "DDPStrategy", "sync_bn": "torch"}, "pytorch", experiment_name="night", log_level="ERROR"
    )
    assert built.experiment_name == "night"
    assert (type(built).__name__, built.sync_bn, built.work_dir) == ("DDPStrategy", "torch", str(tmp_path))
    assert (built.env_kwargs["launcher"], built.log_kwargs) == ("pytorch", {"log_level": "ERROR"})
