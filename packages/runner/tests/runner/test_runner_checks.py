"""Settings that cannot work are told before training; data without a length; what a schedule counts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from eng.dataset.utils import length_of
from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.optim import OptimWrapper
from eng.registry import DATASETS
from eng.runner import SettingsError


@pytest.mark.parametrize(
    ("name", "value"),
    [*itertools.product(["val_interval", "dynamic"], [0, -1, "1", True, None]), ("dynamic", 1.5)],
)
@pytest.mark.parametrize("by_epoch", [True, False], ids=["epochs", "iterations"])
def test_an_interval_that_cannot_be_is_told_before_training(make_runner, parts, name, value, by_epoch) -> None:
    train_cfg = dict(max_epochs=3) if by_epoch else dict(by_epoch=False, max_iters=6)
    train_cfg |= dict(val_interval=value) if name == "val_interval" else dict(dynamic_intervals=[(2, value)])
    runner = make_runner(train_cfg=train_cfg, **parts.validation(acc=[1]))
    named = "val_interval" if name == "val_interval" else r"dynamic_intervals\[0\]\[1\]"
    with pytest.raises(ValueError, match=rf"{named} must be a whole number, 1 or more, got {value!r}"):
        runner.train()
    assert runner.model.calls == 0


@pytest.mark.parametrize("kind", [float, np.int64, np.float32])
def test_whole_floats_and_numbers_of_numpy_are_whole_numbers(make_runner, parts, kind) -> None:
    train_cfg = dict(by_epoch=False, max_iters=kind(6), val_interval=kind(2))
    runner = make_runner(train_cfg=train_cfg, **parts.validation(acc=[1]))
    runner.train()
    assert (runner.iter, runner.val_evaluator.metrics[0].validations) == (6, 3)


@pytest.mark.parametrize("by_epoch", [True, False], ids=["epochs", "iterations"])
@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [(0, {}, "has 0 samples, with batch_size=4"), (3, dict(drop_last=True), "has 3 samples, with batch_size=4 and drop_last")],
)  # fmt: skip
def test_an_epoch_without_batches_is_told_before_training(
    make_runner, tmp_path, by_epoch, samples, options, words
) -> None:
    data = [(torch.ones(1), torch.ones(1))] * samples
    loader = DataLoader(data, batch_size=4, **options)
    train_cfg = dict(max_epochs=2) if by_epoch else dict(by_epoch=False, max_iters=2)
    with pytest.raises(ValueError, match=words):
        make_runner(train_dataloader=loader, train_cfg=train_cfg).train()
    assert not list((tmp_path / "run").glob("*.pth"))


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (dict(custom_hooks=[dict(type="EarlyStoppingHook", monitor="acc")]), "EarlyStoppingHook"),
        (dict(default_hooks=dict(checkpoint=dict(type="CheckpointHook", save_best="acc"))), "CheckpointHook"),
        (dict(param_scheduler=dict(type="ReduceOnPlateauLR", monitor="acc")), "ReduceOnPlateauLR"),
    ],
)
def test_what_waits_for_validations_that_never_come_is_named(make_runner, parts, heard, part, name) -> None:
    runner = make_runner(**part)
    heard.listen(runner.logger)
    runner.train()
    assert f"{name} acts on metrics of validations, and this run has none" in heard.text
    with_validation = make_runner(**part, **parts.validation(acc=[1]))
    before = len(heard.lines)
    heard.listen(with_validation.logger)
    with_validation.train()
    assert not any("acts on metrics" in line for line in heard.lines[before:])


def test_an_optimizer_of_another_model_is_refused(make_runner, parts) -> None:
    other = parts.Line()
    runner = make_runner(optim_wrapper=OptimWrapper(torch.optim.SGD(other.parameters(), lr=0.1)))
    with pytest.raises(SettingsError, match=r"has 2 parameters and none of them is in the model \(Line\)"):
        runner.train()


class Pair(BaseModel):
    """Two parts with an optimizer each."""

    def __init__(self, line) -> None:
        super().__init__()
        self.generator, self.discriminator = line(), line()

    def train_step(self, data, optim_wrapper):
        losses = {}
        for name, wrapper in optim_wrapper.items():
            loss = getattr(self, name)(*data, mode="loss")["loss"]
            wrapper.update_params(loss)
            losses[f"loss_{name}"] = loss.detach()
        return losses

    def forward(self, x, y, mode="tensor"): ...


def test_wrappers_for_submodules_by_their_names(make_runner, parts, tmp_path) -> None:
    model = Pair(parts.Line)
    wrappers = dict(
        generator=dict(optimizer=dict(type="SGD", lr=0.1)),
        discriminator=dict(type="AmpOptimWrapper", dtype="float32", optimizer=dict(type="AdamW", lr=0.01)),
    )
    runner = make_runner(model=model, optim_wrapper=wrappers, param_scheduler=dict(type="StepLR", step_size=1))
    runner.train()
    kinds = {name: type(wrapper.optimizer).__name__ for name, wrapper in runner.optim_wrapper.items()}
    assert kinds == {"generator": "SGD", "discriminator": "AdamW"}
    bare = make_runner(work_dir=tmp_path / "bare", param_scheduler=dict(type="StepLR", step_size=1))
    bare.train()
    assert torch.equal(model.generator.fit.weight, bare.model.fit.weight)
    resumed = make_runner(model=Pair(parts.Line), optim_wrapper=wrappers, resume=True, train_cfg=dict(max_epochs=3))
    resumed.train()
    assert resumed.iter == 12


@pytest.mark.parametrize(
    ("wrapper", "words"),
    [
        (dict(generater=dict(optimizer=dict(type="SGD", lr=0.1))), r"'generater' is .* it has \['data_preprocessor', 'generator', 'discriminator'\]"),
        (dict(generator=dict(type="SGD", lr=0.1)), "which is no wrapper with an 'optimizer'"),
        (dict(type="SGD", lr=0.1), r"Did you mean optim_wrapper=dict\(optimizer=dict\(type='SGD', lr=0.1\)\)\?"),
        ({}, "optim_wrapper is empty"),
    ],
)  # fmt: skip
def test_wrappers_that_fit_no_submodule(make_runner, parts, wrapper, words) -> None:
    with pytest.raises(ValueError, match=words):
        make_runner(model=Pair(parts.Line), optim_wrapper=wrapper).train()


@pytest.mark.parametrize("base", [16, 16.0])
def test_the_base_batch_size_may_be_a_whole_float(make_runner, base) -> None:
    runner = make_runner(auto_scale_lr=dict(enable=True, base_batch_size=base))
    runner.train()
    assert runner.optim_wrapper.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 2 / 16)


@pytest.mark.parametrize("base", [0, 1.5, "16", True, None])
def test_a_base_batch_size_that_cannot_be(make_runner, base) -> None:
    with pytest.raises(ValueError, match=f"a positive 'base_batch_size', got {base!r}"):
        make_runner(auto_scale_lr=dict(enable=True, base_batch_size=base)).train()


class Rates(Hook):
    priority = "LOWEST"

    def __init__(self) -> None:
        self.seen: list[float] = []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.seen.append(runner.optim_wrapper.optimizer.param_groups[0]["lr"])


def cosine(step: int, period: int) -> float:
    return 0.1 * (1 + math.cos(math.pi * step / period)) / 2


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        (dict(type="CosineAnnealingLR", convert_to_iter_based=True), [cosine(i, 12) for i in range(12)]),
        (dict(type="CosineAnnealingLR", convert_to_iter_based=True, T_max=3), [cosine(i, 12) for i in range(12)]),
        (dict(type="CosineAnnealingLR"), [cosine(i, 12) for i in range(12)]),
        (dict(type="MultiStepLR", milestones=[4, 8]), [0.1 * 0.1 ** (i // 4) for i in range(12)]),
        (dict(type="StepLR", step_size=6, by="iter"), [0.1 * 0.1 ** (i // 6) for i in range(12)]),
    ],
    ids=["converted", "converted with its length", "says nothing", "milestones", "by"],
)
def test_schedules_of_a_run_that_counts_iterations(make_runner, scheduler, expected) -> None:
    rates = Rates()
    train_cfg = dict(by_epoch=False, max_iters=12)
    make_runner(param_scheduler=scheduler, train_cfg=train_cfg, custom_hooks=[rates]).train()
    assert rates.seen == pytest.approx(expected)


def test_a_schedule_of_epochs_in_a_run_of_iterations_is_warned_about(make_runner, heard) -> None:
    scheduler = dict(type="StepLR", step_size=1, by_epoch=True)
    make_runner(param_scheduler=scheduler, train_cfg=dict(by_epoch=False, max_iters=8)).train()
    assert "The schedule StepLR counts epochs, and this run counts iterations" in heard.text


def test_length_of() -> None:
    stream = DataLoader(Stream(4), batch_size=2)
    assert hasattr(stream, "__len__")
    assert [length_of(loader) for loader in (stream, [1, 2], DataLoader([1, 2, 3], batch_size=2), None)] == [
        None,
        2,
        2,
        None,
    ]


@DATASETS.register_module(force=True)
class Stream(IterableDataset):
    """Points without a length; endless without a count."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count

    def __iter__(self):
        number = 0
        while self.count is None or number < self.count:
            yield torch.full((1,), number / 8), torch.full((1,), 3 * number / 8)
            number += 1


class Counted(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results += [float(value) for value in data_samples]

    def compute_metrics(self, results) -> dict[str, float]:
        return {"count": len(results)}


def loaders(kind: str, count: int | None):
    if kind == "config":
        return dict(dataset=dict(type="Stream", count=count), batch_size=2, collate_fn=dict(type="default_collate"))
    return DataLoader(Stream(count), batch_size=2) if kind == "object" else _Batches(count)


class _Batches:
    """Any iterable of batches."""

    def __init__(self, count: int | None) -> None:
        self.count = count

    def __iter__(self):
        return iter(DataLoader(Stream(self.count), batch_size=2))


@pytest.mark.parametrize("kind", ["config", "object", "iterable"])
def test_streams_train_by_iterations_and_validate(make_runner, kind) -> None:
    validation = dict(val_dataloader=loaders(kind, 7), val_cfg={}, val_evaluator=Counted())
    train_cfg = dict(by_epoch=False, max_iters=7, val_interval=3)
    logger = dict(logger=dict(type="LoggerHook", interval=2))
    runner = make_runner(train_dataloader=loaders(kind, None), train_cfg=train_cfg, default_hooks=logger, **validation)
    runner.train()
    assert runner.iter == 7
    assert runner.val() == {"count": 7}


def test_a_stream_takes_no_sampler(make_runner) -> None:
    loader = dict(loaders("config", None), sampler=dict(type="DefaultSampler", shuffle=True))
    with pytest.raises(SettingsError, match="Stream is a stream.*leave the dataloader's sampler out"):
        make_runner(train_dataloader=loader, train_cfg=dict(by_epoch=False, max_iters=2)).train()


def test_a_list_of_batches_validates(make_runner) -> None:
    batches = [(torch.ones(2, 1), torch.ones(2, 1)), (torch.ones(1, 1), torch.ones(1, 1))]
    assert make_runner(val_dataloader=batches, val_cfg={}, val_evaluator=Counted()).val() == {"count": 3}
