"""Loops: how long, when to validate, losses of validations, custom loops, speed-ups of the model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.hooks import Hook
from eng.registry import LOOPS
from eng.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, ValLoop
from eng.runner.loops._losses import count_samples
from eng.runner.utils import calc_dynamic_intervals


class WhenValidated(Hook):
    def __init__(self) -> None:
        self.at: list[int] = []

    def before_val(self, runner):
        self.at.append(runner.epoch if isinstance(runner.train_loop, EpochBasedTrainLoop) else runner.iter)


@pytest.mark.parametrize(
    ("train_cfg", "expected"),
    [
        (dict(by_epoch=True, max_epochs=5), [1, 2, 3, 4, 5]),
        (dict(by_epoch=True, max_epochs=5, val_interval=2), [2, 4, 5]),
        (dict(by_epoch=True, max_epochs=5, val_begin=3), [3, 4, 5]),
        (dict(by_epoch=True, max_epochs=8, val_interval=4, dynamic_intervals=[(6, 1)]), [4, 5, 6, 7, 8]),
        (dict(by_epoch=False, max_iters=10, val_interval=4), [4, 8, 10]),
        (dict(by_epoch=False, max_iters=10, val_interval=2, val_begin=7), [8, 10]),
        (dict(by_epoch=False, max_iters=10, val_interval=4, dynamic_intervals=[(7, 2)]), [4, 6, 8, 10]),
    ],
    ids=["each epoch", "interval", "begin", "dynamic", "iterations", "iterations, begin", "iterations, dynamic"],
)
def test_when_a_run_validates(make_runner, parts, train_cfg, expected) -> None:
    hook = WhenValidated()
    make_runner(**parts.validation(acc=[1]), train_cfg=train_cfg, custom_hooks=[hook]).train()
    assert hook.at == expected


def test_dynamic_intervals_as_two_lists() -> None:
    assert calc_dynamic_intervals(3) == ([0], [3])
    assert calc_dynamic_intervals(3, [(5, 1)]) == ([0, 5], [3, 1])


def test_weights_after_some_epochs_are_those_of_a_bare_loop(make_runner, parts) -> None:
    model = parts.Line()
    bare = parts.Line()
    optimizer = torch.optim.SGD(bare.parameters(), lr=0.1)
    for _ in range(2):
        for x, y in parts.loader():
            optimizer.zero_grad()
            (bare.fit(x) - y).square().mean().backward()
            optimizer.step()
    make_runner(model=model).train()
    assert torch.equal(model.fit.weight, bare.fit.weight)


def test_iterations_go_over_the_data_as_often_as_it_takes(make_runner) -> None:
    runner = make_runner(train_cfg=dict(by_epoch=False, max_iters=10))
    runner.train()
    assert (runner.epoch, runner.iter, runner.max_epochs, runner.max_iters) == (0, 10, 1, 10)
    assert isinstance(runner.train_loop, IterBasedTrainLoop)
    assert runner.train_loop.dataloader_iterator.epoch == 2


class Endless:
    batch_size = 2

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        while True:
            yield from self.loader


def test_endless_data_needs_iterations(make_runner, parts) -> None:
    runner = make_runner(train_dataloader=Endless(parts.loader()), train_cfg=dict(by_epoch=False, max_iters=7))
    runner.train()
    assert runner.iter == 7


def test_a_loader_without_batches_is_told(make_runner) -> None:
    with pytest.raises(ValueError, match="the training dataloader gives no batch"):
        make_runner(train_dataloader=[], train_cfg=dict(by_epoch=False, max_iters=2)).train()


def test_a_hook_stops_training(make_runner) -> None:
    class Stop(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            runner.train_loop.stop_training = runner.iter == 4

    runner = make_runner(train_cfg=dict(by_epoch=False, max_iters=100), custom_hooks=[Stop()])
    runner.train()
    assert runner.iter == 5


class WithLosses(nn.Module):
    """Returns predictions with their losses."""

    def __init__(self, line):
        super().__init__()
        self.line = line

    def train_step(self, data, optim_wrapper):
        return self.line.train_step(data, optim_wrapper)

    def val_step(self, data):
        x, y = data
        error = (self.line.fit(x) - y).square()
        return list(error), {"loss_a": error.mean(), "loss_b": [error.mean(), error.mean()]}


def validate(make_runner, parts, model, val_cfg) -> dict[str, float]:
    given = dict(val_dataloader=parts.loader(7, 2), val_cfg=val_cfg, val_evaluator=parts.Scores(acc=[1]))
    return make_runner(model=model, **given).val()


@pytest.mark.parametrize("kind", ["asked for", "returned"])
def test_the_validation_loss_is_the_mean_over_samples(make_runner, parts, kind) -> None:
    line = parts.Line()
    x = torch.linspace(0, 1, 7)[:, None]
    expected = (line.fit(x) - 3 * x).square().mean().item()
    if kind == "asked for":
        assert validate(make_runner, parts, line, dict(loss=True)) == {"acc": 1, "loss": pytest.approx(expected)}
    else:
        metrics = validate(make_runner, parts, WithLosses(line), {})
        assert metrics["loss"] == pytest.approx(3 * expected)
        assert (metrics["loss_a"], metrics["loss_b"]) == (pytest.approx(expected), pytest.approx(2 * expected))


def test_losses_alone_need_no_evaluator(make_runner, parts) -> None:
    runner = make_runner(val_dataloader=parts.loader(), val_cfg=dict(loss=True))
    assert list(runner.val()) == ["loss"]


def test_the_weight_of_a_training_loss_is_no_loss_of_validation(make_runner, parts) -> None:
    class Weighted(parts.Line):
        def forward(self, x, y, mode="tensor"):
            outputs = super().forward(x, y, mode)
            return {**outputs, "loss_weight": 10.0} if mode == "loss" else outputs

    expected = validate(make_runner, parts, parts.Line(), dict(loss=True))
    assert validate(make_runner, parts, Weighted(), dict(loss=True)) == expected


@pytest.mark.parametrize(
    ("batch", "count"),
    [
        (torch.zeros(5, 2), 5),
        ((torch.zeros(4, 2), torch.zeros(4)), 4),
        ([torch.zeros(4, 2), torch.zeros(4)], 4),
        ([[torch.zeros(2)] * 3, [torch.zeros(1)] * 3], 3),
        ([{"x": 1}, {"x": 2}, {"x": 3}], 3),
        ({"inputs": [1, 2]}, 2),
        (3, 1),
        ({}, 1),
    ],
    ids=["tensor", "tuple", "default_collate", "pseudo_collate", "samples", "dict", "number", "empty"],
)
def test_samples_of_a_batch(batch, count) -> None:
    assert count_samples(batch) == count


def test_validation_in_half_precision(make_runner, parts) -> None:
    seen = []

    class Sees(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.append(runner.model.fit(data_batch[0]).dtype)

    class Casts(parts.Line):
        def forward(self, x, y, mode="tensor"):
            seen.append(self.fit(x).dtype)
            return super().forward(x, y, mode)

    make_runner(model=Casts(), **parts.validation(acc=[1]) | dict(val_cfg=dict(fp16=True))).val()
    assert set(seen) == {torch.bfloat16}


@LOOPS.register_module()
class TwiceLoop(BaseLoop):
    """Sees each batch twice."""

    def __init__(self, runner, dataloader, factor):
        super().__init__(runner, dataloader)
        self.factor, self.epoch, self.iter, self.max_epochs, self.max_iters = factor, 0, 0, 1, 8
        self.val_interval = self.val_begin = 1
        self.stop_training = False

    def run(self):
        for batch in self.dataloader:
            for _ in range(self.factor):
                self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
                self.iter += 1


def test_a_loop_of_ones_own(make_runner, parts) -> None:
    model = parts.Line()
    runner = make_runner(model=model, train_cfg=dict(type="TwiceLoop", factor=2))
    runner.train()
    assert (runner.iter, model.calls) == (8, 8)


def test_a_validation_loop_of_ones_own(make_runner, parts) -> None:
    @LOOPS.register_module(force=True)
    class LoudValLoop(ValLoop):
        def run(self):
            return {**super().run(), "loud": 1.0}

    given = dict(parts.validation(acc=[1]), val_cfg=dict(type="LoudValLoop"))
    assert make_runner(**given).val() == {"acc": 1, "loud": 1.0}


def test_compile_keeps_the_names_of_weights(make_runner, tmp_path, parts) -> None:
    model = parts.Line()
    names = list(model.state_dict())
    runner = make_runner(model=model, compile=dict(backend="eager"))
    runner.train()
    assert list(runner.model.state_dict()) == names
    assert list(torch.load(tmp_path / "run" / "epoch_2.pth")["state_dict"]) == names
    assert model._compiled_call_impl is not None


def test_activation_checkpointing_changes_memory_only(make_runner, parts, tmp_path) -> None:
    plain, saving = parts.Line(), parts.Line()
    names = list(plain.state_dict())
    make_runner(model=plain, work_dir=tmp_path / "a").train()
    make_runner(model=saving, work_dir=tmp_path / "b", activation_checkpointing="fit").train()
    assert torch.equal(plain.fit.weight, saving.fit.weight)
    assert list(saving.state_dict()) == names
