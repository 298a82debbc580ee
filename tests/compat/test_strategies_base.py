from __future__ import annotations

from pathlib import Path

import pytest
import torch
from strategies_parts import Line

from eng.compat.strategies import (
    SingleDeviceStrategy,
)


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


def test_learning_rates_are_scaled_where_the_batch_size_is_known(tmp_path: Path) -> None:
    cfg = {"optimizer": {"type": "SGD", "lr": 0.1}}
    strategy = SingleDeviceStrategy(work_dir=str(tmp_path), auto_scale_lr={"enable": True, "base_batch_size": 8})
    strategy.prepare(Line(), optim_wrapper=cfg, dispatch_kwargs={"train_micro_batch_size_per_gpu": 4})
    assert strategy.optim_wrapper.get_lr() == {"lr": [0.05]}
    with pytest.raises(ValueError, match="auto_scale_lr needs dispatch_kwargs"):
        strategy.prepare(Line(), optim_wrapper=cfg)
