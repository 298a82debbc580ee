from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch

from eng.hooks import Hook, IterTimerHook, iter_timer_hook
from eng.model import BaseModel
from eng.runner import hook_list


class OfALibrary(IterTimerHook):
    """Overrides `_after_iter` in the way of libraries: by wall-clock time and the attribute `t`."""

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode="train"):
        runner.message_hub.update_scalar(f"{mode}/time", time.time() - self.t)
        self.t = time.time()


def test_subclasses_of_the_timer_read_and_set_t(make_runner) -> None:
    runner = make_runner(default_hooks=dict(timer=OfALibrary()))
    runner.train()
    times, _ = runner.message_hub.get_scalar("train/time").data
    assert len(times) == 8
    assert (times >= 0).all()
    assert times.max() < 30


def test_t_is_wall_clock_time_and_feeds_the_timer() -> None:
    hook = IterTimerHook()
    hook.t = time.time() - 5
    assert time.time() - hook.t == pytest.approx(5, abs=0.5)
    assert time.perf_counter() - hook._last == pytest.approx(5, abs=0.5)


# What each part of an iteration takes, in seconds of a clock that nothing but these parts moves.
BATCH_S, STEP_S, BEFORE_S, AFTER_S, VALIDATION_S = 0.010, 0.020, 0.003, 0.007, 5.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def __deepcopy__(self, memo) -> Clock:  # configs of a run are copied
        return self


class TakesTime(torch.utils.data.Dataset):
    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> torch.Tensor:
        self.clock.now += self.seconds
        return torch.ones(1)


class TakesTimeToo(BaseModel):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.fit = clock, torch.nn.Linear(1, 1)

    def forward(self, x, mode="tensor"):
        self.clock.now += STEP_S
        return {"loss": self.fit(x).mean()} if mode == "loss" else [0.0]


class Before(Hook):
    """Runs ahead of the timer."""

    priority = "VERY_HIGH"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def before_iter(self, runner, batch_idx, data_batch=None, mode="train"):
        self.clock.now += BEFORE_S

    before_train_iter = before_val_iter = before_iter


class After(Hook):
    """Runs behind the timer."""

    priority = "LOWEST"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def before_train_epoch(self, runner):
        self.clock.now += 1.0

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.clock.now += AFTER_S

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.clock.now += AFTER_S

    def after_val_epoch(self, runner, metrics=None):
        self.clock.now += VALIDATION_S


@pytest.mark.parametrize(
    "train_cfg",
    [
        dict(max_epochs=2),
        dict(max_epochs=2, val_interval=0.5),
        dict(by_epoch=False, max_iters=12, val_interval=2),
    ],
    ids=str,
)
def test_times_are_those_of_the_clock_whatever_other_hooks_take(make_runner, monkeypatch, train_cfg) -> None:
    clock = Clock()
    monkeypatch.setattr(iter_timer_hook, "time", SimpleNamespace(perf_counter=clock, time=clock))
    monkeypatch.setattr(hook_list, "perf_counter", clock)
    runner = make_runner(
        model=TakesTimeToo(clock),
        train_dataloader=dict(dataset=TakesTime(clock, BATCH_S), batch_size=1, num_workers=0),
        val_dataloader=dict(dataset=TakesTime(clock, 2 * BATCH_S), batch_size=1, num_workers=0),
        val_cfg=dict(), val_evaluator=[], train_cfg=train_cfg, custom_hooks=[Before(clock), After(clock)],
    )  # fmt: skip
    runner.train()
    times = {
        name: runner.message_hub.get_scalar(name).data[0] for name in ("train/data_time", "train/time", "val/data_time")
    }
    assert times["train/data_time"] == pytest.approx([BATCH_S] * 12)
    inside = BATCH_S + BEFORE_S + STEP_S
    first_of_pass = [0, 6] if "max_epochs" in train_cfg else [0]
    expected = [inside + (0 if number in first_of_pass else AFTER_S) for number in range(12)]
    assert times["train/time"] == pytest.approx(expected)
    assert times["val/data_time"] == pytest.approx([2 * BATCH_S] * len(times["val/data_time"]))
    assert len(times["val/data_time"]) >= 12


class SavesBetween(Hook):
    """Saves a checkpoint before each iteration, and takes 50 ms for that."""

    priority = "HIGH"

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        runner.save_checkpoint(runner.work_dir, "before.pth")

    def before_save_checkpoint(self, runner, checkpoint) -> None:
        time.sleep(0.05)


def test_a_hook_point_inside_another_one_does_not_move_the_clock(make_runner) -> None:
    runner = make_runner(custom_hooks=[SavesBetween()])
    runner.train()
    waits = runner.message_hub.get_scalar("train/data_time").data[0]
    times = runner.message_hub.get_scalar("train/time").data[0]
    assert len(waits) > 1
    assert min(waits) >= 0
    assert min(times) >= 0.05
