"""What defaults count: what the training loop counts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from eng.hooks import CheckpointHook, Hook, LoggerHook
from eng.runner import LogProcessor

ITERATIONS = {
    "by_epoch": dict(by_epoch=False, max_iters=12, val_interval=6),
    "type": dict(type="IterBasedTrainLoop", max_iters=12, val_interval=6),
}
LOGS = dict(type="LoggerHook", interval=4)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.pth")}


def best_files(runner) -> list[str]:
    return sorted(name for name in files(Path(runner.work_dir)) if name.startswith("best_"))


class BestFiles(Hook):
    """Notes the best checkpoints behind each validation."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.names: list[list[str]] = []

    def after_val(self, runner) -> None:
        self.names.append(best_files(runner))


def text_of(runner) -> str:
    return (Path(runner.log_dir) / f"{runner.timestamp}.log").read_text()


@pytest.mark.parametrize("train_cfg", ITERATIONS.values(), ids=ITERATIONS)
def test_a_run_of_iterations_counts_iterations_everywhere(make_runner, parts, train_cfg, heard) -> None:
    hooks = dict(logger=LOGS, checkpoint=dict(type="CheckpointHook", interval=5, save_best="acc"))
    runner = make_runner(train_cfg=train_cfg, default_hooks=hooks, log_level="INFO", **parts.validation(acc=[1, 2]))
    runner.train()
    assert files(Path(runner.work_dir)) == {"iter_5.pth", "iter_10.pth", "iter_12.pth", "best_acc_iter_12.pth"}
    text = text_of(runner)
    for line in ("Iter(train) [ 4/12]", "Iter(train) [12/12]", "Iter(val) [4/4]"):
        assert line in text
    assert "Epoch(" not in text
    lines = [json.loads(line) for line in runner.visualizer.scalar_file.read_text().splitlines()]
    assert [(line["step"], line["axis"]) for line in lines if "acc" in line] == [(6, "iter"), (12, "iter")]
    assert "counts epochs" not in heard.text


def test_a_run_of_epochs_counts_epochs_everywhere(make_runner, parts, heard) -> None:
    hooks = dict(logger=LOGS, checkpoint=dict(type="CheckpointHook", save_best="acc"))
    runner = make_runner(default_hooks=hooks, log_level="INFO", **parts.validation(acc=[1, 2]))
    runner.train()
    assert files(Path(runner.work_dir)) == {"epoch_1.pth", "epoch_2.pth", "best_acc_epoch_2.pth"}
    assert "Epoch(train) [2][4/4]" in text_of(runner)
    lines = [json.loads(line) for line in runner.visualizer.scalar_file.read_text().splitlines()]
    assert [(line["step"], line["axis"]) for line in lines if "acc" in line] == [(1, "epoch"), (2, "epoch")]
    assert "this run counts" not in heard.text


def test_a_stopped_run_of_iterations_has_checkpoints(make_runner) -> None:
    """F39: stopped at iteration 11 there are those of 5 and 10."""
    from eng.hooks import Hook

    class Stop(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 10:
                raise KeyboardInterrupt

    hooks = dict(checkpoint=dict(type="CheckpointHook", interval=5))
    runner = make_runner(train_cfg=dict(by_epoch=False, max_iters=40), default_hooks=hooks, custom_hooks=[Stop()])
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert files(Path(runner.work_dir)) == {"iter_5.pth", "iter_10.pth"}


CONTRADICTIONS = {
    "CheckpointHook's by_epoch=True counts epochs": dict(default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=True))),
    "LoggerHook's log_metric_by_epoch=True counts epochs": dict(default_hooks=dict(logger=dict(type="LoggerHook", log_metric_by_epoch=True))),
    "log_processor's by_epoch=True counts epochs": dict(log_processor=dict(by_epoch=True)),
}  # fmt: skip


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_a_contradiction_is_named_once_at_the_start(make_runner, parts, heard, message) -> None:
    runner = make_runner(
        train_cfg=dict(by_epoch=False, max_iters=12, val_interval=4),
        **CONTRADICTIONS[message],
        **parts.validation(acc=[1]),
    )
    first: list[int] = []
    runner.train_loop.run_iter = lambda batch, run=runner.train_loop.run_iter: (
        first.append(len(heard.lines)),
        run(batch),
    )
    runner.train()
    assert sum(message in line for line in heard.lines) == 1
    assert any(message in line for line in heard.lines[: first[0]])


@pytest.mark.parametrize(
    ("max_iters", "interval", "count"),
    [(101, 1, 1), (100, 1, 0), (101, 2, 0)],
    ids=["many", "few", "longer interval"],
)
def test_a_checkpoint_in_each_of_many_iterations_is_warned_of(make_runner, heard, max_iters, interval, count) -> None:
    class Stop(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            raise KeyboardInterrupt

    hooks = dict(checkpoint=dict(type="CheckpointHook", interval=interval))
    runner = make_runner(
        train_cfg=dict(by_epoch=False, max_iters=max_iters), default_hooks=hooks, custom_hooks=[Stop()]
    )
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert heard.text.count("each iteration saves a checkpoint") == count


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (dict(default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3))), 0),
        (dict(default_hooks=dict(logger=dict(type="LoggerHook", log_metric_by_epoch=False))), 0),
        (dict(log_processor=dict(by_epoch=False)), 1),
    ],
    ids=["checkpoints by iterations", "metrics over iterations", "lines of iterations"],
)
def test_what_makes_sense_in_a_run_of_epochs_is_no_contradiction(make_runner, heard, options, count) -> None:
    runner = make_runner(**options)
    runner.train()
    assert heard.text.count("this run counts") == count
    if "default_hooks" in options and "checkpoint" in options["default_hooks"]:
        assert files(Path(runner.work_dir)) == {"iter_3.pth", "iter_6.pth", "iter_8.pth"}


def test_a_validation_alone_follows_its_config(make_runner, parts) -> None:
    runner = make_runner(train_cfg=dict(by_epoch=False, max_iters=12), log_level="INFO", **parts.validation(acc=[1]))
    runner.val()
    assert "Iter(val) [4/4]" in text_of(runner)
    assert runner.train_part.peek() == dict(by_epoch=False, max_iters=12)  # nobody built it


def test_objects_serve_runs_of_both_kinds(make_runner) -> None:
    checkpoint, logs = CheckpointHook(), LoggerHook()
    hooks = dict(checkpoint=checkpoint, logger=logs)
    make_runner(train_cfg=dict(by_epoch=False, max_iters=4), default_hooks=hooks).train()
    assert (checkpoint.by_epoch, checkpoint.filename_tmpl, logs.log_metric_by_epoch) == (False, "iter_{}.pth", False)
    make_runner(default_hooks=hooks).train()
    assert (checkpoint.by_epoch, checkpoint.filename_tmpl, logs.log_metric_by_epoch) == (True, "epoch_{}.pth", True)
    assert LogProcessor().by_epoch is None


def test_validations_within_an_epoch_have_names_and_steps_of_their_own(make_runner, parts) -> None:
    runner = make_runner(
        **parts.validation(acc=[0.1, 0.2, 0.15, 0.3]),
        train_cfg=dict(max_epochs=2, val_interval=0.5),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", save_best="acc")),
        log_level="INFO",
    )
    best = BestFiles()
    runner.register_hook(best)
    runner.train()
    assert re.findall(r"Epoch\(val\) \[([^]]*)\]\[4/4\]    acc", text_of(runner)) == ["0.5", "1", "1.5", "2"]
    assert best.names == [
        ["best_acc_iter_2.pth"],
        ["best_acc_epoch_1.pth"],
        ["best_acc_epoch_1.pth"],
        ["best_acc_epoch_2.pth"],
    ]
    lines = [json.loads(line) for line in runner.visualizer.scalar_file.read_text().splitlines()]
    points = [line for line in lines if "acc" in line]
    assert [(point["step"], point["axis"], point["acc"]) for point in points] == [
        (2, "iter", 0.1), (4, "iter", 0.2), (6, "iter", 0.15), (8, "iter", 0.3),
    ]  # fmt: skip


def test_a_better_validation_within_an_epoch_leaves_the_checkpoint_of_the_epoch_before(make_runner, parts) -> None:
    runner = make_runner(
        **parts.validation(acc=[0.1, 0.2, 0.3, 0.3]),
        train_cfg=dict(max_epochs=2, val_interval=0.5),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", save_best="acc")),
    )
    runner.train()
    iterations = {
        name: torch.load(Path(runner.work_dir, name), weights_only=False)["meta"]["iter"]
        for name in ("epoch_1.pth", "best_acc_iter_6.pth")
    }
    assert iterations == {"epoch_1.pth": 4, "best_acc_iter_6.pth": 6}
    again = make_runner(
        **parts.validation(acc=[0.9]), train_cfg=dict(max_epochs=3), resume=True,
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", save_best="acc")),
    )  # fmt: skip
    again.train()
    assert best_files(again) == ["best_acc_epoch_3.pth"]
