"""Loops that do not derive from BaseLoop train, validate and resume, and their errors are seen."""

from __future__ import annotations

import pytest
import torch

from eng.runner import BaseLoop, Runner
from eng.runner.loops.foreign import as_base_loop


class Epochs:
    """A training loop with what MMEngine's hooks read, and no more."""

    def __init__(self, runner, dataloader, max_epochs):
        self.runner, self.dataloader, self.max_epochs = runner, runner.build_dataloader(dataloader), max_epochs
        self.max_iters = max_epochs * len(self.dataloader)
        self._epoch = self._iter = 0

    epoch = property(lambda self: self._epoch)
    iter = property(lambda self: self._iter)

    def run(self):
        runner = self.runner
        runner.call_hook("before_train")
        while self._epoch < self.max_epochs:
            runner.call_hook("before_train_epoch")
            for index, batch in enumerate(self.dataloader):
                runner.call_hook("before_train_iter", batch_idx=index, data_batch=batch)
                outputs = self.step(batch)
                runner.call_hook("after_train_iter", batch_idx=index, data_batch=batch, outputs=outputs)
                self._iter += 1
            runner.call_hook("after_train_epoch")
            self._epoch += 1
        runner.call_hook("after_train")
        return runner.model

    def step(self, batch):
        return self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)


class Counting:
    """A training loop that counts in plain attributes called `epoch` and `iter`."""

    def __init__(self, runner, dataloader, max_epochs):
        self.runner, self.dataloader, self.max_epochs = runner, runner.build_dataloader(dataloader), max_epochs
        self.max_iters = max_epochs * len(self.dataloader)
        self.start()

    def start(self):
        self.epoch = self.iter = 0

    def run(self):
        self.runner.call_hook("before_train")
        while self.epoch < self.max_epochs:
            self.runner.call_hook("before_train_epoch")
            for index, batch in enumerate(self.dataloader):
                self.runner.call_hook("before_train_iter", batch_idx=index, data_batch=batch)
                outputs = self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
                self.runner.call_hook("after_train_iter", batch_idx=index, data_batch=batch, outputs=outputs)
                self.iter += 1
            self.runner.call_hook("after_train_epoch")
            self.epoch += 1
        self.runner.call_hook("after_train")


class CountingOfClass(Counting):
    epoch = iter = 0

    def start(self):
        """Leaves the counters of the class."""


class CountingBase(Counting, BaseLoop):
    """Derives from BaseLoop too, whose `runner` has no setter."""

    runner = None


class Failing(Epochs):
    def step(self, batch):
        if self._iter == 5:
            raise ValueError("the batch is broken")
        return super().step(batch)


class Unreadable(Failing):
    """Cannot say where it stands."""

    @property
    def is_validating(self):
        raise RuntimeError("nobody knows")


class Validation:
    def __init__(self, runner, dataloader, evaluator=None):
        self.runner = runner

    def run(self):
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        self.runner.call_hook("after_val_epoch", metrics={"acc": 0.5})
        self.runner.call_hook("after_val")
        return {"acc": 0.5}


@pytest.mark.parametrize("attributes", [{}, {"position": 3}], ids=["none", "a number of that name"])
def test_a_training_loop_of_a_user_trains_saves_and_resumes(make_runner, tmp_path, attributes) -> None:
    Positioned = type("Positioned", (Epochs,), attributes)
    straight = make_runner(work_dir=tmp_path / "straight", train_cfg=dict(type=Positioned, max_epochs=3))
    straight.train()
    make_runner(train_cfg=dict(type=Positioned, max_epochs=2)).train()
    saved = torch.load(tmp_path / "run/epoch_2.pth")
    assert (saved["meta"]["epoch"], saved["meta"]["iter"]) == (2, 8)
    resumed = make_runner(train_cfg=dict(type=Positioned, max_epochs=3), resume=True)
    resumed.train()
    assert type(resumed.train_loop) is Positioned
    assert (resumed.epoch, resumed.iter, resumed.max_epochs, resumed.max_iters) == (3, 12, 3, 12)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value)


@pytest.mark.parametrize("kind", [Counting, CountingOfClass, CountingBase])
def test_a_loop_that_counts_in_plain_attributes_resumes(make_runner, tmp_path, kind) -> None:
    straight = make_runner(work_dir=tmp_path / "straight", train_cfg=dict(type=kind, max_epochs=3))
    straight.train()
    make_runner(train_cfg=dict(type=kind, max_epochs=2)).train()
    resumed = make_runner(train_cfg=dict(type=kind, max_epochs=3), resume=True)
    resumed.train()
    assert (resumed.epoch, resumed.iter) == (3, 12)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value)


@pytest.mark.parametrize("options", [{}, {"val_sanity": 1}], ids=["plain", "sanity"])
def test_a_validation_loop_of_a_user_runs(make_runner, parts, tmp_path, options) -> None:
    settings = parts.validation(acc=[1]) | dict(val_cfg=dict(type=Validation), train_cfg=dict(max_epochs=2, **options))
    runner = make_runner(**settings)
    runner.train()
    assert runner.message_hub.get_scalar("val/acc").current() == 0.5
    resumed = make_runner(**{**settings, "train_cfg": dict(max_epochs=3)}, resume=True)
    resumed.train()
    assert resumed.iter == 12
    assert make_runner(**settings, work_dir=tmp_path / "val").val() == {"acc": 0.5}


@pytest.mark.parametrize(
    ("loop", "report"),
    [
        (Failing, "Training failed at epoch 2, iteration 6: ValueError: the batch is broken"),
        (Unreadable, "Training failed: ValueError: the batch is broken. The report of where it failed failed too"),
    ],
)
def test_the_error_of_a_users_loop_is_raised_also_where_its_report_fails(make_runner, heard, loop, report) -> None:
    runner = make_runner(train_cfg=dict(type=loop, max_epochs=2))
    heard.listen(runner.logger)
    with pytest.raises(ValueError, match="the batch is broken"):
        runner.train()
    assert report in heard.text


def test_defaults_are_those_of_base_loop_and_settings_reach_the_loop() -> None:
    class Smallest:
        def run(self):
            return "trained"

    loop = Smallest()
    view = as_base_loop(loop)
    for name in ("dataloader", "split_step", "epoch", "iter", "max_iters", "val_begin", "stop_training"):
        assert getattr(view, name) == getattr(BaseLoop, name)
    assert view.is_validating is False
    assert view.by_set() == {"": view}
    assert view.try_batches(3) is view.dataloader is None
    assert view.run() == "trained"
    view.go_on_from({"epoch": 2, "iter": 7}, None)
    view.stop_training = True
    assert (loop._epoch, loop._iter, loop.stop_training) == (2, 7, True)
    with pytest.raises(AttributeError, match="'Smallest' object has no attribute 'evaluator'"):
        _ = view.evaluator


@pytest.mark.parametrize("failing", [False, True])
def test_a_failed_run_closes_its_strategy_and_keeps_its_error(make_runner, heard, monkeypatch, failing) -> None:
    runner: Runner = make_runner(train_cfg=dict(type=Failing, max_epochs=2))
    heard.listen(runner.logger)
    closed = []

    def close():
        closed.append(runner.iter)
        if failing:
            raise OSError("the disk is full")

    monkeypatch.setattr(runner.strategy, "close", close)
    with pytest.raises(ValueError, match="the batch is broken"):
        runner.train()
    assert closed == [5]
    assert ("failed at the end of the run" in heard.text) is failing
