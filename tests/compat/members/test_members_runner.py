"""Members of MMEngine's Runner that eng's Runner has while the alias is installed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.model import BaseModel
from eng.runner import Runner


class Line(BaseModel):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fit = nn.Linear(1, 1)

    def forward(self, x, y, mode="tensor"):
        return {"loss": (self.fit(x) - y).square().mean()}


def runner_in(folder: Any, **changes: Any) -> Runner:
    x = torch.linspace(0, 1, 8)[:, None]
    settings: dict[str, Any] = {
        "model": Line(),
        "work_dir": str(folder),
        "train_dataloader": DataLoader(TensorDataset(x, 3 * x), batch_size=2),
        "train_cfg": {"by_epoch": True, "max_epochs": 2},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
        "log_level": "ERROR",
        "experiment_name": str(folder).replace("/", "_"),
    }
    return Runner(**{**settings, **changes})


def test_loops_are_read_as_configs_until_they_are_built_and_may_be_assigned(tmp_path) -> None:
    runner: Any = runner_in(tmp_path)
    assert isinstance(runner._train_loop, dict)
    assert runner._val_loop is None and runner._test_loop is None
    runner._train_loop = {"by_epoch": True, "max_epochs": 1}
    runner.train()
    assert type(runner._train_loop).__name__ == "EpochBasedTrainLoop"
    assert (runner.epoch, runner._train_loop.max_epochs) == (1, 1)
    other = object()
    runner._test_loop = other
    assert runner._test_loop is other


def test_dataloaders_evaluators_and_scaling_are_read_and_assigned(tmp_path) -> None:
    runner: Any = runner_in(tmp_path)
    longer = DataLoader(TensorDataset(torch.ones(20, 1), torch.ones(20, 1)), batch_size=2)
    assert (runner._val_dataloader, runner._val_evaluator, runner.auto_scale_lr) == (None, None, None)
    runner._train_dataloader = longer
    runner.auto_scale_lr = {"enable": True, "base_batch_size": 4}
    runner.train()
    assert runner.iter == 20
    assert runner.optim_wrapper.get_lr()["lr"] == [0.05]
    assert (runner._rank, runner._world_size, runner._distributed) == (0, 1, False)


def test_weights_are_initialised_on_request(tmp_path) -> None:
    model = Line(init_cfg={"type": "Constant", "layer": "Linear", "val": 7.0})
    runner: Any = runner_in(tmp_path, model=model)
    runner._init_model_weights()
    assert model.fit.weight.item() == 7.0


def test_schedulers_of_one_wrapper_and_their_check(tmp_path) -> None:
    runner: Any = runner_in(tmp_path)
    runner.train()
    built = runner._build_param_scheduler({"type": "MultiStepLR", "milestones": [1]}, runner.optim_wrapper)
    assert [type(scheduler).__name__ for scheduler in built] == ["MultiStepLR"]
    runner._check_scheduler_cfg({"generator": {"type": "LinearLR"}, "critic": [{"type": "LinearLR"}]})
    with pytest.raises(TypeError, match="param_scheduler should be a scheduler, a config"):
        runner._check_scheduler_cfg("LinearLR")


def test_a_checkpoint_names_the_version_of_mmengine(tmp_path) -> None:
    runner: Any = runner_in(tmp_path)
    runner.train()
    checkpoint = torch.load(tmp_path / "epoch_2.pth")
    meta = checkpoint["meta"]
    # What 0.10.7 writes there for the same settings, with the cfg of a Runner that was made from none.
    assert {"cfg", "epoch", "experiment_name", "iter", "mmengine_version", "seed", "time"} <= set(meta)
    assert (meta["mmengine_version"], meta["epoch"], meta["iter"]) == ("0.10.7", 2, 8)
    assert checkpoint["message_hub"]["runtime_info"]["mmengine_version"] == "0.10.7"
    assert runner.message_hub.get_info("mmengine_version") == "0.10.7"
