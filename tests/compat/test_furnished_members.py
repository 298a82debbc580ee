"""Members of eng's classes that are there while the alias is installed."""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import eng.compat
from eng.hooks import EarlyStoppingHook
from eng.infer import BaseInferencer
from eng.model import BaseModel, BaseModule
from eng.registry import Registry
from eng.runner import Runner


@pytest.fixture(autouse=True)
def alias():
    top = logging.getLogger("eng")
    handlers, level = list(top.handlers), top.level
    with eng.compat.alias():
        yield
    eng.compat.reset_global_state()
    top.handlers[:] = handlers
    top.setLevel(level)


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


class Patience(EarlyStoppingHook):
    """Stops at the first score below a half, as a subclass written for MMEngine does."""

    def _check_stop_condition(self, current_score: float) -> tuple[bool, str]:
        stop, reason = super()._check_stop_condition(current_score)
        return (True, "below a half") if current_score < 0.5 else (stop, reason)


@pytest.mark.parametrize(("scores", "stops"), [([0.9, 0.4], True), ([0.9, 0.91], False)])
def test_an_early_stopping_subclass_decides(scores, stops) -> None:
    class Run:
        train_loop: Any = type("Loop", (), {"stop_training": False})
        logger: Any = type("Logger", (), {"info": lambda *args: None})

    hook = Patience("acc", min_delta=0.001, patience=3)
    for score in scores:
        hook.after_val_epoch(Run, {"acc": score})  # type: ignore[arg-type]
    assert Run.train_loop.stop_training is stops
    assert hook.rule_map["greater"](2, 1) and not hook.rule_map["less"](2, 1)


def test_a_model_may_keep_the_record_of_its_initialisation(tmp_path) -> None:
    class Own(BaseModule):
        def __init__(self) -> None:
            super().__init__()
            self.fit = nn.Linear(1, 1)

        def init_weights(self) -> None:
            self._params_init_info: Any = defaultdict(dict)
            for parameter in self.parameters():
                self._params_init_info[parameter].update(init_info="by itself", tmp_mean_value=parameter.data.mean())
            for module in self.modules():
                module._params_init_info = self._params_init_info
            super()._dump_init_info()  # type: ignore[misc]
            for module in self.modules():
                del module._params_init_info

    model = Own()
    model.init_weights()
    assert not hasattr(model, "_params_init_info")


def test_registries_are_walked_by_the_names_of_the_reference() -> None:
    root: Any = Registry("thing", scope="top")
    child: Any = Registry("thing", parent=root, scope="lower")
    assert child._get_root_registry() is root
    assert root._search_child("lower") is child
    assert root._search_child("elsewhere") is None


def test_members_go_with_the_alias() -> None:
    assert hasattr(Runner, "_log_env") and hasattr(BaseInferencer, "_get_repo_or_mim_dir")
    eng.compat.uninstall()
    assert not hasattr(Runner, "_log_env") and not hasattr(BaseInferencer, "_get_repo_or_mim_dir")
    eng.compat.install()
    assert hasattr(Runner, "_log_env")
    assert sys.modules["eng.runner.runner"].__spec__ is not None


class Head(nn.Module):
    """Layers whose biases the rules of MMEngine and of eng treat differently."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.RMSNorm(4)


def weight_decays(rules: dict[str, Any]) -> dict[str, float]:
    from eng.optim import build_optim_wrapper

    head = Head()
    names = {id(parameter): name for name, parameter in head.named_parameters()}
    cfg = {"optimizer": {"type": "SGD", "lr": 1.0, "weight_decay": 1.0}, "paramwise_cfg": rules}
    groups = build_optim_wrapper(head, cfg).optimizer.param_groups
    return {names[id(group["params"][0])]: group["weight_decay"] for group in groups}


@pytest.mark.parametrize(
    ("rules", "decay_of"),
    [
        ({"bias_decay_mult": 0.0}, {"conv.bias": 0.0, "bn.bias": 0.0, "bn.weight": 1.0, "norm.weight": 1.0}),
        ({"bias_decay_mult": 0.0, "norm_decay_mult": 0.5}, {"conv.bias": 0.0, "bn.bias": 0.5, "norm.weight": 1.0}),
        ({"flat_decay_mult": 0.0}, {"conv.weight": 1.0, "bn.weight": 0.0, "norm.weight": 0.0}),
        ({"custom_keys": {"bn": {"decay_mult": 0.1}}}, {"bn.bias": 0.1, "conv.bias": 1.0}),
    ],
    ids=["biases", "biases and norms", "flat", "custom"],
)
def test_weight_decay_follows_the_reference(rules: dict[str, Any], decay_of: dict[str, float]) -> None:
    decays = weight_decays(rules)
    assert {name: decays[name] for name in decay_of} == decay_of


def test_weight_decay_follows_the_manual_without_the_alias() -> None:
    eng.compat.uninstall()
    decays = weight_decays({"bias_decay_mult": 0.0})
    assert (decays["conv.bias"], decays["bn.bias"]) == (0.0, 1.0)


@pytest.mark.parametrize(("bypass", "groups"), [(True, 3), (False, None)])
def test_a_shared_parameter_needs_bypass_duplicate(bypass: bool, groups: int | None) -> None:
    from eng.optim import build_optim_wrapper

    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    rules = {"norm_decay_mult": 0.0, "bypass_duplicate": bypass}
    cfg = {"optimizer": {"type": "SGD", "lr": 1.0, "weight_decay": 1.0}, "paramwise_cfg": rules}
    if groups is None:
        with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
            build_optim_wrapper(model, cfg)
    else:
        assert len(build_optim_wrapper(model, cfg).optimizer.param_groups) == groups


def test_s3_is_read_by_petrels_client_where_it_is_installed(tmp_path, monkeypatch) -> None:
    from eng.fileio import get_file_backend

    assert type(get_file_backend("s3://bucket/a", backend_args={"endpoint_url": "x"})).__name__ == "FsspecBackend"
    (tmp_path / "petrel_client").mkdir()
    (tmp_path / "petrel_client/__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert type(get_file_backend("s3://bucket/b")).__name__ == "PetrelBackend"
    eng.compat.uninstall()
    assert type(get_file_backend("s3://bucket/c")).__name__ != "PetrelBackend"


def test_a_visualizer_opens_its_window_and_names_it() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot as plt

    from eng.visualization import Visualizer

    visualizer: Any = Visualizer(vis_backends=[])
    assert visualizer.manager is None
    visualizer._init_manager("first")
    opened = visualizer.manager
    visualizer._init_manager("second")
    assert visualizer.manager is opened
    plt.close("all")
