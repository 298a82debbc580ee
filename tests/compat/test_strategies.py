"""Strategies and FlexibleRunner of the reference, used as its callers do."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
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
from eng.config import Config
from eng.model import BaseModel


class Line(BaseModel):
    """One weight and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor") -> dict[str, torch.Tensor]:
        return {"loss": (self.fit(x) - y).square().mean()}


class Normed(Line):
    """With normalisation over all ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.SyncBatchNorm(1))


@pytest.fixture
def one_rank() -> Iterator[None]:
    """A process group of this process alone."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


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


@pytest.mark.parametrize(
    ("kind", "settings", "wrapper", "is_folder"),
    [
        (DDPStrategy, {}, "MMDistributedDataParallel", False),
        (FSDPStrategy, {}, "MMFullyShardedDataParallel", True),
        (FSDPStrategy, {"state_dict_cfg": "full"}, "MMFullyShardedDataParallel", False),
        (FSDPStrategy, {"state_dict_cfg": {"state_dict_type": "FULL_STATE_DICT"}}, "MMFullyShardedDataParallel", False),
    ],
    ids=["ddp", "fsdp", "fsdp in one file", "fsdp by the name of the type"],
)
@pytest.mark.filterwarnings("ignore:`broadcast_buffers`:FutureWarning")
def test_kinds_of_several_ranks_save_and_resume(tmp_path: Path, one_rank, kind, settings, wrapper, is_folder) -> None:
    def begin() -> DDPStrategy:
        strategy = kind(work_dir=str(tmp_path), env_kwargs={"randomness": {"seed": 1}}, **settings)
        strategy.prepare(Line(), optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}})
        return strategy

    first = begin()
    assert type(first.model).__name__ == wrapper
    start = {name: whole(value).clone() for name, value in first.model_state_dict().items()}
    x = torch.linspace(0, 1, 4)[:, None]
    first.model.train_step({"x": x, "y": 3 * x}, first.optim_wrapper)
    first.save_checkpoint(str(tmp_path / "one.pth"))
    assert (tmp_path / "one.pth").is_dir() is is_folder
    second = begin()
    second.resume(str(tmp_path / "one.pth"))
    for name, value in first.model_state_dict().items():
        assert not torch.equal(whole(value), start[name])
        torch.testing.assert_close(whole(second.model_state_dict()[name]), whole(value), rtol=0, atol=0)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def test_one_device_normalises_over_no_ranks(tmp_path: Path) -> None:
    model = SingleDeviceStrategy(work_dir=str(tmp_path)).prepare(Normed())
    assert not any(isinstance(part, torch.nn.SyncBatchNorm) for part in model.modules())
    x = torch.linspace(0, 1, 4)[:, None]
    assert torch.isfinite(model(x, 3 * x)["loss"])


def test_learning_rates_are_scaled_where_the_batch_size_is_known(tmp_path: Path) -> None:
    cfg = {"optimizer": {"type": "SGD", "lr": 0.1}}
    strategy = SingleDeviceStrategy(work_dir=str(tmp_path), auto_scale_lr={"enable": True, "base_batch_size": 8})
    strategy.prepare(Line(), optim_wrapper=cfg, dispatch_kwargs={"train_micro_batch_size_per_gpu": 4})
    assert strategy.optim_wrapper.get_lr() == {"lr": [0.05]}
    with pytest.raises(ValueError, match="auto_scale_lr needs dispatch_kwargs"):
        strategy.prepare(Line(), optim_wrapper=cfg)


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
