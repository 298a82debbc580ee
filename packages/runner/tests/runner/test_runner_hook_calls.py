"""Hooks: the 22 points in their order, priorities, and hooks that raise."""

from __future__ import annotations

import logging

import pytest
import torch

from eng.hooks import CheckpointHook, Hook
from eng.hooks.hook import POINTS
from eng.runner import Priority, get_priority
from eng.runner.hook_list import HookList, owner_name
from eng.visualization import BaseVisBackend, Visualizer


class Notes(Hook):
    """Writes down each point that it is called at."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        for point in POINTS:
            setattr(self, point, self.noting(point))

    def noting(self, point):
        return lambda runner, *args, **kwargs: self.seen.append(point)


def test_the_points_of_a_training_come_in_order(make_runner, parts) -> None:
    notes = Notes()
    runner = make_runner(
        **parts.validation(acc=[1]),
        custom_hooks=[notes],
        train_dataloader=parts.loader(2, 2),
        train_cfg=dict(max_epochs=1),
    )
    runner.train()
    val_iters = ["before_val_iter", "after_val_iter"] * 4
    assert notes.seen == [
        "before_run", "before_train", "before_train_epoch", "before_train_iter", "after_train_iter", "after_train_epoch",
        "before_save_checkpoint", "before_val", "before_val_epoch", *val_iters, "after_val_epoch", "after_val",
        "after_train", "before_save_checkpoint", "after_run",  # the last checkpoint gets the validation behind it
    ]  # fmt: skip


def test_the_points_of_a_test_come_in_order(make_runner, parts) -> None:
    notes = Notes()
    make_runner().train()
    runner = make_runner(
        test_dataloader=parts.loader(2, 2), test_cfg={}, test_evaluator=parts.Scores(acc=[1]), custom_hooks=[notes],
    )  # fmt: skip
    runner.state.load_from = runner.work_dir + "/epoch_2.pth"
    runner.test()
    assert notes.seen == [
        "before_run", "after_load_checkpoint", "before_test", "before_test_epoch", "before_test_iter", "after_test_iter",
        "after_test_epoch", "after_test", "after_run",
    ]  # fmt: skip


def test_there_are_22_points_and_each_is_documented() -> None:
    assert len(POINTS) == 22
    assert all(getattr(Hook, point).__doc__ for point in POINTS)


def test_methods_behind_the_points_get_the_mode(make_runner, parts) -> None:
    class Modes(Hook):
        seen: set[tuple[str, str]] = set()

        def _before_epoch(self, runner, mode="train"):
            self.seen.add(("before_epoch", mode))

        def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode="train"):
            assert outputs is not None
            self.seen.add(("after_iter", mode))

    make_runner(**parts.validation(acc=[1]), custom_hooks=[Modes()]).train()
    assert Modes.seen == {(a, b) for a in ("before_epoch", "after_iter") for b in ("train", "val")}


def test_hooks_act_in_the_order_of_priority_then_of_registration(make_runner) -> None:
    order: list[str] = []

    class Named(Hook):
        def __init__(self, name):
            self.name = name

        def before_run(self, runner):
            order.append(self.name)

    runner = make_runner()
    for name, priority in [("c", "LOW"), ("a", 10), ("d", "LOW"), ("b", Priority.HIGH), ("e", "lowest")]:
        runner.register_hook(Named(name), priority)
    runner.train()
    assert order == list("abcde")


def test_a_config_names_the_priority_of_its_hook(make_runner) -> None:
    runner = make_runner(custom_hooks=[dict(type="EmptyCacheHook", priority="VERY_HIGH")])
    assert runner.hooks[2].priority == "VERY_HIGH"
    assert [type(hook).__name__ for hook in runner.hooks[1:3]] == ["RuntimeInfoHook", "EmptyCacheHook"]


@pytest.mark.parametrize("priority", [-1, 101, "FIRST", 1.5], ids=str)
def test_a_priority_that_is_none(priority) -> None:
    with pytest.raises((ValueError, TypeError), match="priority"):
        get_priority(priority)


def test_the_default_hooks_and_leaving_one_out(make_runner) -> None:
    names = [type(hook).__name__ for hook in make_runner().hooks]
    assert names == [
        "NonFiniteLossHook", "RuntimeInfoHook", "IterTimerHook", "DistSamplerSeedHook", "LoggerHook",
        "ParamSchedulerHook", "CheckpointHook", "PreemptionHook",
    ]  # fmt: skip
    fewer = make_runner(default_hooks=dict(timer=None, checkpoint=dict(type="CheckpointHook", interval=7)))
    assert "IterTimerHook" not in [type(hook).__name__ for hook in fewer.hooks]
    assert [hook.interval for hook in fewer.hooks if isinstance(hook, CheckpointHook)] == [7]


def test_the_table_of_hooks_shows_who_acts_where(make_runner) -> None:
    blocks = dict(
        block.strip().split(":\n") for block in make_runner().get_hooks_info().split("-" * 20) if ":" in block
    )
    assert blocks["before_train_epoch"].splitlines() == [
        "(VERY_HIGH   ) RuntimeInfoHook",
        "(NORMAL      ) IterTimerHook",
        "(NORMAL      ) DistSamplerSeedHook",
        "(BELOW_NORMAL) LoggerHook",
    ]
    assert blocks["before_save_checkpoint"].splitlines() == ["(HIGHEST     ) NonFiniteLossHook"]
    assert "after_load_checkpoint" not in blocks


class Raises(Hook):
    priority = "HIGH"

    def __init__(self, point: str = "after_train_epoch") -> None:
        setattr(self, point, self.fail)

    def fail(self, *args, **kwargs):
        raise OSError("the tracker is gone")


def test_a_hook_that_raises_does_not_cost_the_checkpoint(make_runner, tmp_path, heard) -> None:
    notes = Notes()
    with pytest.raises(OSError, match="the tracker is gone") as caught:
        make_runner(custom_hooks=[Raises(), notes]).train()
    assert torch.load(tmp_path / "run" / "epoch_1.pth")["meta"]["iter"] == 4
    assert notes.seen[-1] == "after_run"
    if hasattr(caught.value, "__notes__"):
        assert "raised by Raises at after_train_epoch" in caught.value.__notes__


def test_a_hook_that_raises_at_the_end_does_not_stop_the_others(make_runner) -> None:
    notes = Notes()
    with pytest.raises(OSError, match="the tracker is gone"):
        make_runner(custom_hooks=[Raises("after_run"), notes]).train()
    assert notes.seen[-1] == "after_run"


def test_a_run_that_never_began_has_no_end(make_runner) -> None:
    notes = Notes()
    with pytest.raises(KeyError, match="'Nothing' is not in the eng::optimizer registry"):
        make_runner(optim_wrapper=dict(optimizer=dict(type="Nothing", lr=1)), custom_hooks=[notes]).train()
    assert notes.seen == []


class Tracker(BaseVisBackend):
    def __init__(self, save_dir: str, fails: bool = False) -> None:
        super().__init__(save_dir)
        self.seen: list[str] = []
        self.fails = fails

    experiment = None

    def _init_env(self) -> None: ...

    def add_config(self, config, **kwargs):
        self.seen.append("add_config")

    def close(self):
        self.seen.append("close")
        if self.fails:
            raise OSError("the tracker is gone")


@pytest.mark.parametrize("fails", [False, True])
def test_trackers_of_a_run_that_never_began_are_closed(make_runner, heard, fails) -> None:
    runner = make_runner(
        optim_wrapper=dict(optimizer=dict(type="Nothing", lr=1)), cfg=dict(seed=1),
        visualizer=dict(type="Visualizer", vis_backends=[dict(type=Tracker, fails=fails)]),
    )  # fmt: skip
    tracker = runner.visualizer.get_backend("Tracker")
    assert tracker.seen == ["add_config"]
    heard.listen(runner.logger)
    with pytest.raises(KeyError, match="'Nothing' is not in the eng::optimizer registry"):
        runner.train()
    assert tracker.seen == ["add_config", "close"]
    assert ("_close_visualizer failed at the end of a run that did not begin" in heard.text) == fails


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("part", ["model", "hook"])
def test_trackers_of_a_run_whose_parts_cannot_be_built_are_closed(make_runner, part, fails) -> None:
    wrong = {"model": dict(model=dict(type="Nothing")), "hook": dict(custom_hooks=[dict(type="Nothing")])}[part]
    tracker = Tracker("unused", fails=fails)
    with pytest.raises(KeyError, match="'Nothing' is not in the"):
        make_runner(visualizer=dict(type="Visualizer", vis_backends=[tracker]), cfg=dict(seed=1), **wrong)
    assert tracker.seen == ["add_config", "close"]
    theirs = Visualizer(vis_backends=[Tracker("unused")])
    with pytest.raises(KeyError, match="'Nothing' is not in the"):
        make_runner(visualizer=theirs, cfg=dict(seed=1), **wrong)
    assert theirs.get_backend("Tracker").seen == ["add_config"]


def test_trackers_of_a_run_that_began_are_closed_once(make_runner) -> None:
    tracker = Tracker("unused")
    with pytest.raises(OSError, match="the tracker is gone"):
        make_runner(custom_hooks=[Raises("before_run")], visualizer=Visualizer(vis_backends=[tracker])).train()
    assert tracker.seen == ["close"]


def test_a_run_whose_beginning_failed_has_an_end(make_runner) -> None:
    notes = Notes()
    with pytest.raises(OSError, match="the tracker is gone"):
        make_runner(custom_hooks=[Raises("before_run"), notes]).train()
    assert notes.seen == ["before_run", "after_run"]


def test_a_second_failure_is_told_and_the_first_is_raised(make_runner, heard) -> None:
    class RaisesToo(Raises):
        def fail(self, *args, **kwargs):
            raise ValueError("me too")

    runner = make_runner(custom_hooks=[Raises(), RaisesToo()])
    heard.listen(runner.logger)
    with pytest.raises(OSError, match="the tracker is gone"):
        runner.train()
    assert "RaisesToo failed at after_train_epoch too" in heard.text


def listed(*hooks: Hook) -> HookList:
    hook_list = HookList(logging.getLogger("eng"))
    for hook in hooks:
        hook_list.register(hook)
    return hook_list


def test_a_point_calls_only_hooks_that_act_there() -> None:
    class Epochs(Hook):
        def _after_epoch(self, runner, mode="train"): ...

    hooks = listed(Epochs(), Hook())
    points = ("after_train_epoch", "after_val_epoch", "before_run")
    assert [len(hooks.methods_at(point)) for point in points] == [1, 1, 0]
    assert owner_name(hooks.methods_at("after_val_epoch")[0]) == "Epochs"


def test_a_hook_behind_the_points_is_told_the_mode() -> None:
    class Modes(Hook):
        def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode="train"):
            runner.append(mode)

    class Keywords(Hook):
        def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode="none"):
            runner.append(mode)

    hooks, seen = listed(Modes(), Keywords()), []
    for point in ("after_train_iter", "after_val_iter"):
        hooks.call(point, seen, batch_idx=0, data_batch=None, outputs=None)
    assert seen == ["train", "train", "val", "val"]


@pytest.mark.parametrize(
    ("question", "args", "expected"),
    [
        ("every_n_epochs", (2,), [False, True, False, True]),
        ("every_n_epochs", (2, 1), [True, False, True, False]),
        ("every_n_epochs", (0,), [False] * 4),
        ("every_n_train_iters", (3,), [False, False, True, False]),
        ("every_n_train_iters", (2, 2), [False, True, False, True]),
        ("is_last_train_epoch", (), [False, False, False, True]),
        ("is_last_train_iter", (), [False, False, False, True]),
    ],
)
def test_questions_of_a_hook(question, args, expected) -> None:
    class At:
        max_epochs = max_iters = 4

        def __init__(self, done):
            self.epoch = self.iter = done

    assert [getattr(Hook(), question)(At(done), *args) for done in range(4)] == expected
    assert [Hook().every_n_inner_iters(i, 2) for i in range(4)] == [False, True, False, True]
    assert [Hook().end_of_epoch([0] * 3, i) for i in range(3)] == [False, False, True]
