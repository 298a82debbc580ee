"""train(), val() and test() of one Runner in any order, and models that have their weights before it begins."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel, BaseModule
from eng.registry import MODELS


class MeanPrediction(BaseMetric):
    """The mean of what the model predicts: shows which weights were evaluated."""

    def process(self, data_batch, data_samples) -> None:
        self.results += [float(value) for value in data_samples]

    def compute_metrics(self, results) -> dict[str, float]:
        return {"mean": sum(results) / len(results)}


class AtStart(Hook):
    """Keeps the weights at the start of training."""

    def before_train(self, runner) -> None:
        self.weights = {name: value.clone() for name, value in runner.model.state_dict().items()}


@pytest.fixture
def evaluated(parts):
    """Settings of a validation and a test that show the weights."""
    return {
        f"{mode}_{name}": value
        for mode in ("val", "test")
        for name, value in (("dataloader", parts.loader()), ("cfg", {}), ("evaluator", MeanPrediction()))
    }


def average() -> list[dict]:
    return [dict(type="EMAHook", momentum=0.05)]


@pytest.mark.parametrize("calls", list(itertools.permutations(["val", "test"])), ids=" ".join)
def test_after_training_the_average_is_evaluated(make_runner, evaluated, calls) -> None:
    runner = make_runner(custom_hooks=average(), **evaluated)
    runner.train()
    trained = {name: value.clone() for name, value in runner.model.state_dict().items()}
    last = runner.message_hub.get_scalar("val/mean").current()
    assert [getattr(runner, call)()["mean"] for call in calls] == [last, last]
    assert all(torch.equal(value, trained[name]) for name, value in runner.model.state_dict().items())
    assert last != pytest.approx(make_runner(model=runner.model, **evaluated).val()["mean"])


@pytest.mark.parametrize("before", [["val"], ["test"], ["val", "test"]], ids=" ".join)
def test_evaluating_first_changes_nothing_of_a_resume(make_runner, evaluated, tmp_path, before) -> None:
    def resumed(*calls: str):
        make_runner(custom_hooks=average(), work_dir=tmp_path / "_".join(calls), **evaluated).train()
        settings = dict(custom_hooks=average(), train_cfg=dict(max_epochs=3), resume=True, **evaluated)
        runner = make_runner(work_dir=tmp_path / "_".join(calls), **settings)
        for call in calls:
            getattr(runner, call)()
        return torch.load(f"{runner.work_dir}/epoch_3.pth")

    expected, saved = resumed("train"), resumed(*before, "train")
    assert saved["ema_state_dict"].keys() == expected["ema_state_dict"].keys()
    for part in ("ema_state_dict", "state_dict"):
        assert all(torch.equal(value, expected[part][name]) for name, value in saved[part].items())


def test_early_stopping_counts_over_calls(make_runner, parts) -> None:
    hook = dict(type="EarlyStoppingHook", monitor="acc", patience=9)
    runner = make_runner(custom_hooks=[hook], **parts.validation(acc=[0.5]))
    runner.train()
    counted = runner.hooks[-1].wait_count
    runner.val()
    assert (counted, runner.hooks[-1].wait_count) == (1, 2)


def test_a_second_training_says_that_nothing_is_left(make_runner, heard) -> None:
    runner = make_runner()
    heard.listen(runner.logger)
    runner.train()
    assert "Nothing is left" not in heard.text
    weights = runner.model.fit.weight.clone()
    runner.train()
    assert "Nothing is left to train: the run ends at epoch 2, iteration 8" in heard.text
    assert torch.equal(runner.model.fit.weight, weights)


def test_a_run_of_iterations_ends_at_an_iteration(make_runner, heard) -> None:
    runner = make_runner(train_cfg=dict(by_epoch=False, max_iters=3))
    heard.listen(runner.logger)
    runner.train()
    runner.train()
    assert "Nothing is left to train: the run ends at iteration 3; for more" in heard.text


CONSTANT = dict(type="Constant", layer="Linear", val=7.0, bias=0.0)


@MODELS.register_module(force=True)
class WithInit(BaseModel):
    """Fits a line; its init_cfg makes all weights 7."""

    def __init__(self, init_cfg=CONSTANT, child=None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.fit = nn.Linear(1, 1)
        if child is not None:
            self.child = child
        self.initialised = 0

    def init_weights(self) -> None:
        self.initialised += 1
        super().init_weights()

    def forward(self, x, y, mode="tensor"):
        error = (self.fit(x) - y).square()
        return {"loss": error.mean()} if mode == "loss" else list(error)


def weights_at_start(make_runner, model, **settings) -> dict[str, torch.Tensor]:
    hook = AtStart()
    make_runner(model=model, custom_hooks=[hook], **settings).train()
    return hook.weights


def test_an_object_keeps_the_weights_that_were_loaded_into_it(make_runner, heard) -> None:
    model = WithInit()
    model.load_state_dict({**model.state_dict(), "fit.weight": torch.full((1, 1), 0.5)})
    assert weights_at_start(make_runner, model)["fit.weight"].item() == 0.5
    assert "init_weights() of WithInit set" not in heard.text


def test_an_object_that_nobody_initialised_is_initialised_once(make_runner, tmp_path) -> None:
    model = WithInit()
    assert weights_at_start(make_runner, model)["fit.weight"].item() == 7.0
    trained = model.fit.weight.detach().clone()
    again = weights_at_start(make_runner, model, work_dir=tmp_path / "again")
    assert torch.equal(again["fit.weight"], trained)
    assert model.initialised == 1


def test_the_switch_keeps_the_weights_of_an_object_and_of_a_config(make_runner) -> None:
    model = WithInit()
    nn.init.constant_(model.fit.weight, 0.5)
    assert weights_at_start(make_runner, model, init_weights=False)["fit.weight"].item() == 0.5
    weights = weights_at_start(make_runner, dict(type="WithInit"), init_weights=False)
    assert weights["fit.weight"].item() != 7.0


def test_loaded_weights_that_a_module_around_them_sets_are_named(make_runner, heard) -> None:
    backbone = BaseModule()
    backbone.fit = nn.Linear(1, 1)
    backbone.load_state_dict({"fit.weight": torch.full((1, 1), 0.5), "fit.bias": torch.zeros(1)})
    assert weights_at_start(make_runner, WithInit(child=backbone))["child.fit.weight"].item() == 7.0
    assert "init_weights() of WithInit set parameters that were loaded before: child.fit.weight" in heard.text


def test_a_loaded_child_keeps_its_weights_where_nothing_around_it_sets_them(make_runner) -> None:
    backbone = BaseModule(init_cfg=CONSTANT)
    backbone.fit = nn.Linear(1, 1)
    backbone.load_state_dict({"fit.weight": torch.full((1, 1), 0.5), "fit.bias": torch.zeros(1)})
    model = WithInit(init_cfg=None, child=backbone)
    assert weights_at_start(make_runner, model)["child.fit.weight"].item() == 0.5


class OfAnotherLibrary(nn.Module):
    """Sets its weights where it is made, and offers that again under the name that BaseModules use."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(1, 1)
        nn.init.constant_(self.inner.weight, 0.5)  # as if it were pretrained

    def init_weights(self, mode: str = "") -> None:
        nn.init.constant_(self.inner.weight, 7.0)


@pytest.mark.parametrize("by", ["object", "config"])
def test_a_child_of_another_library_keeps_its_weights(make_runner, by) -> None:
    model = WithInit(init_cfg=None, child=OfAnotherLibrary())
    if by == "config":
        MODELS.register_module("Foreign", force=True, module=lambda: WithInit(init_cfg=None, child=OfAnotherLibrary()))
        model = dict(type="Foreign")
    assert weights_at_start(make_runner, model)["child.inner.weight"].item() == 0.5


@pytest.mark.parametrize("first", ["val", "test"])
def test_weights_that_an_evaluation_loaded_are_trained_on(make_runner, evaluated, tmp_path, first) -> None:
    make_runner(model=dict(type="WithInit"), train_cfg=dict(max_epochs=1)).train()
    path = tmp_path / "run" / "epoch_1.pth"
    hook = AtStart()
    runner = make_runner(
        model=dict(type="WithInit"), load_from=str(path), work_dir=tmp_path / "next", custom_hooks=[hook], **evaluated
    )
    getattr(runner, first)()
    runner.train()
    assert torch.equal(hook.weights["fit.weight"], torch.load(path)["state_dict"]["fit.weight"])
