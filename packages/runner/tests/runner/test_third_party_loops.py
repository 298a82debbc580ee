"""Loops that libraries wrote for MMEngine: its `run()` copied, and loops with nothing but `epoch` and `iter`."""

from __future__ import annotations

import bisect
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from eng.hooks import Hook
from eng.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, ValLoop


class CopiedEpochs(EpochBasedTrainLoop):
    """`run()` and `run_epoch()` by the protocol of MMEngine 0.10.7."""

    def run(self):
        self.runner.call_hook("before_train")
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if (
                self.runner.val_loop is not None
                and self._epoch >= self.val_begin
                and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)
            ):
                self.runner.val_loop.run()
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_epoch(self):
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for idx, data_batch in enumerate(self.dataloader):
            self.run_iter(idx, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


class CopiedIterations(IterBasedTrainLoop):
    def run(self):
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        for _ in range(self._iter):
            next(self.dataloader_iterator)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")


class AssignedIterator(IterBasedTrainLoop):
    """Reads its batches in pairs of the same batch twice, from an iterator of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.dataloader_iterator = self.twice()

    def twice(self):
        while True:
            for batch in self.dataloader:
                yield batch
                yield batch


class OnlyCounters(BaseLoop):
    """What a library needs at least: counters, and a run."""

    def __init__(self, runner, dataloader, max_epochs):
        super().__init__(runner, dataloader)
        self._epoch = self._iter = 0
        self.max_epochs, self.max_iters = max_epochs, max_epochs * len(dataloader)
        self.stop_training = False

    epoch = property(lambda self: self._epoch)
    iter = property(lambda self: self._iter)

    def run(self):
        self.runner.call_hook("before_train")
        while self._epoch < self.max_epochs:
            self.runner.call_hook("before_train_epoch")
            for idx, batch in enumerate(self.dataloader):
                self.runner.call_hook("before_train_iter", batch_idx=idx, data_batch=batch)
                outputs = self.runner.model.train_step(batch, self.runner.optim_wrapper)
                self.runner.call_hook("after_train_iter", batch_idx=idx, data_batch=batch, outputs=outputs)
                self._iter += 1
            self.runner.call_hook("after_train_epoch")
            self._epoch += 1
        self.runner.call_hook("after_train")


class NoLoader(BaseLoop):
    """A validation over several loaders, none of which is called ``dataloader``."""

    def __init__(self, runner, dataloader, evaluator):
        self._runner = runner
        self.dataloaders = [dataloader, dataloader]

    def run(self):
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        for loader in self.dataloaders:
            for idx, batch in enumerate(loader):
                self.runner.call_hook("before_val_iter", batch_idx=idx, data_batch=batch)
                self.runner.call_hook("after_val_iter", batch_idx=idx, data_batch=batch, outputs=[])
        self.runner.call_hook("after_val_epoch", metrics={"acc": 0.5})
        self.runner.call_hook("after_val")
        return {"acc": 0.5}


class Seen(Hook):
    """The first inputs of each batch; stops the run after an iteration."""

    priority = "LOWEST"

    def __init__(self, stop_after: int | None = None) -> None:
        self.batches: list[float] = []
        self.stop_after = stop_after

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.batches.append(round(float(data_batch[0][0]), 4))
        if runner.iter + 1 == self.stop_after:
            raise KeyboardInterrupt


def loader(samples: int = 8, **options) -> DataLoader:
    x = torch.linspace(0, 1, samples)[:, None]
    return DataLoader(TensorDataset(x, 3 * x), batch_size=2, **options)


def weights(runner) -> list[float]:
    return [round(value, 6) for value in (*runner.model.fit.weight.flatten().tolist(), *runner.model.fit.bias.tolist())]


def run(make_runner, work_dir: Path, train_cfg: dict, stop_after: int | None = None, **changes):
    seen = Seen(stop_after)
    runner = make_runner(
        work_dir=work_dir, train_cfg=train_cfg, train_dataloader=loader(), custom_hooks=[seen], **changes
    )
    try:
        runner.train()
    except KeyboardInterrupt:
        pass
    return runner, seen.batches


def test_a_copied_run_by_epochs_trains_and_validates_as_ours(make_runner, parts, tmp_path) -> None:
    given = parts.validation(acc=[0.1, 0.2, 0.3, 0.4])
    ours, _ = run(make_runner, tmp_path / "ours", dict(max_epochs=4, val_interval=2), **given)
    copied, _ = run(
        make_runner,
        tmp_path / "copied",
        dict(type=CopiedEpochs, max_epochs=4, val_interval=2),
        **parts.validation(acc=[0.1, 0.2, 0.3]),
    )
    assert (copied.epoch, copied.iter) == (4, 16)
    assert weights(copied) == weights(ours)
    assert copied.message_hub.get_scalar("val/acc").current() == 0.2  # two validations


@pytest.mark.parametrize("milestones", [[(2, 1)], [(3, 1)]])
def test_the_interval_of_a_copied_run_follows_its_milestones(make_runner, milestones) -> None:
    runner = make_runner(train_cfg=dict(type=CopiedEpochs, max_epochs=4, val_interval=3, dynamic_intervals=milestones))
    runner.train()
    loop = runner.train_loop
    expected = loop.dynamic_intervals[bisect.bisect(loop.dynamic_milestones, 5) - 1]
    assert loop.val_interval == expected == 1


def test_a_resumed_copied_run_ends_as_an_uninterrupted_one(make_runner, tmp_path) -> None:
    shuffled = dict(type=CopiedEpochs, max_epochs=4)
    whole, _ = run(make_runner, tmp_path / "whole", shuffled)
    run(make_runner, tmp_path / "cut", shuffled, stop_after=10)
    resumed, _ = run(make_runner, tmp_path / "cut", shuffled, resume=True)
    assert (resumed.epoch, resumed.iter) == (4, 16)
    assert weights(resumed) == weights(whole)


@pytest.mark.parametrize("kind", [CopiedIterations, AssignedIterator])
def test_iterations_of_a_librarys_loop_go_on_behind_those_of_the_saved_run(make_runner, tmp_path, kind) -> None:
    settings = dict(type=kind, max_iters=11)
    hooks = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3))
    _, whole = run(make_runner, tmp_path / "whole", settings, default_hooks=hooks)
    _, first = run(make_runner, tmp_path / "cut", settings, stop_after=7, default_hooks=hooks)
    runner, then = run(make_runner, tmp_path / "cut", settings, resume=True, default_hooks=hooks)
    assert runner.iter == 11
    assert first[:6] + then == whole


def test_an_assigned_iterator_is_read(make_runner, tmp_path) -> None:
    _, batches = run(make_runner, tmp_path / "run", dict(type=AssignedIterator, max_iters=4))
    assert batches[0] == batches[1] != batches[2] == batches[3]


def test_a_loop_with_counters_alone_saves_and_resumes(make_runner, tmp_path) -> None:
    settings = dict(type=OnlyCounters, max_epochs=3)
    whole, _ = run(make_runner, tmp_path / "whole", settings)
    run(make_runner, tmp_path / "cut", settings, stop_after=10)
    saved = torch.load(tmp_path / "cut/epoch_2.pth")
    assert (saved["meta"]["epoch"], saved["meta"]["iter"]) == (2, 8)
    resumed, batches = run(make_runner, tmp_path / "cut", settings, resume=True)
    assert (resumed.epoch, resumed.iter, len(batches)) == (3, 12, 4)
    assert weights(resumed) == weights(whole)


def test_a_validation_loop_without_a_dataloader_runs_with_all_default_hooks(make_runner, parts) -> None:
    given = parts.validation(acc=[1]) | dict(val_cfg=dict(type=NoLoader))
    runner = make_runner(**given, log_level="INFO")
    runner.train()
    assert runner.message_hub.get_scalar("val/acc").current() == 0.5
    assert not isinstance(runner.val_loop, ValLoop)
