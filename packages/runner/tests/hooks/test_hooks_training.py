"""The other hooks: averages, early stopping, logs, timers, schedulers, profiler, seeds of samplers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from eng.dataset import DefaultSampler
from eng.hooks import (
    EarlyStoppingHook,
    EMAHook,
    Hook,
    IterTimerHook,
    LoggerHook,
    NPUProfilerHook,
    ProfilerHook,
    ProgressBarHook,
)
from eng.hooks.runtime_info_hook import is_scalar
from eng.logging import MessageHub


class Weights(Hook):
    """Notes the weight after each training iteration and in each validation."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.trained: list[float] = []
        self.validated: list[float] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.trained.append(runner.model.fit.weight.item())

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.validated.append(runner.model.fit.weight.item())


def averages(begin, weights, momentum) -> list[float]:
    """The average after each weight; the first step takes the weight itself."""
    kept, found = begin, []
    for step, weight in enumerate(weights):
        kept = weight if step == 0 else (1 - momentum) * kept + momentum * weight
        found.append(kept)
    return found


def test_validation_uses_the_average_and_training_goes_on_with_its_weights(make_runner, parts) -> None:
    seen = Weights()
    make_runner(**parts.validation(acc=[1]), custom_hooks=[dict(type="EMAHook", momentum=0.3), seen]).train()
    expected = averages(0.5, seen.trained, 0.3)
    assert seen.validated[0] == pytest.approx(expected[3], rel=1e-5)
    assert seen.validated[-1] == pytest.approx(expected[7], rel=1e-5)
    plain = Weights()
    make_runner(custom_hooks=[plain]).train()
    assert plain.trained == seen.trained


def test_a_checkpoint_holds_the_average_as_weights_and_the_weights_beside_it(make_runner, tmp_path) -> None:
    seen = Weights()
    make_runner(custom_hooks=[dict(type="EMAHook", momentum=0.3), seen]).train()
    saved = torch.load(tmp_path / "run" / "epoch_2.pth")
    assert float(saved["state_dict"]["fit.weight"]) == pytest.approx(averages(0.5, seen.trained, 0.3)[-1], rel=1e-5)
    assert float(saved["ema_state_dict"]["module.fit.weight"]) == seen.trained[-1]


@pytest.mark.parametrize("begin", [dict(begin_epoch=2), dict(begin_iter=5)], ids=["epoch", "iteration"])
def test_an_average_that_begins_later_follows_the_weights_until_then(make_runner, begin) -> None:
    seen, hook = Weights(), EMAHook(momentum=0.3, **begin)
    make_runner(custom_hooks=[hook, seen]).train()
    assert float(hook.ema_model.module.fit.weight) == pytest.approx(averages(0, seen.trained[4:], 0.3)[-1], rel=1e-5)


def test_a_resumed_average_goes_on(make_runner, tmp_path) -> None:
    ema = dict(type="EMAHook", momentum=0.3)
    make_runner(work_dir=tmp_path / "whole", custom_hooks=[ema]).train()
    make_runner(work_dir=tmp_path / "parts", custom_hooks=[ema], train_cfg=dict(max_epochs=1)).train()
    make_runner(work_dir=tmp_path / "parts", custom_hooks=[ema], resume=True).train()
    ends = [torch.load(tmp_path / name / "epoch_2.pth") for name in ("whole", "parts")]
    assert torch.equal(ends[0]["state_dict"]["fit.weight"], ends[1]["state_dict"]["fit.weight"])
    assert int(ends[1]["ema_state_dict"]["steps"]) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(begin_iter=-1), "must not be negative"),
        (dict(begin_iter=1, begin_epoch=1), "either begin_iter or begin_epoch"),
        (dict(begin_epoch=9), "begin_epoch is 9, but the run ends at 2"),
        (dict(begin_iter=9), "begin_iter is 9, but the run ends at 8"),
    ],
    ids=["negative", "both", "epoch", "iter"],
)
def test_an_average_that_cannot_begin(make_runner, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        make_runner(custom_hooks=[EMAHook(**options)]).train()


@pytest.mark.parametrize(
    ("options", "scores", "epochs"),
    [
        (dict(patience=2, min_delta=0.0), [1, 2, 2, 2, 9], 4),
        (dict(patience=2, min_delta=0.5), [1, 1.4, 1.4, 9], 3),
        (dict(patience=1, rule="less", min_delta=0.0), [3, 2, 2, 1], 3),
        (dict(patience=9, stopping_threshold=2.5), [1, 2, 3, 4], 3),
        (dict(patience=9), [1, float("inf"), 3], 2),
        (dict(patience=9), [1, 2, 3, 4, 5], 5),
    ],
    ids=["patience", "min_delta", "less", "threshold", "not finite", "none"],
)
def test_when_training_stops_early(make_runner, parts, options, scores, epochs) -> None:
    hook = EarlyStoppingHook("acc", **options)
    runner = make_runner(**parts.validation(acc=scores), train_cfg=dict(max_epochs=5), custom_hooks=[hook])
    runner.train()
    assert runner.epoch == epochs


def test_a_metric_to_watch_that_is_missing(make_runner, parts, heard) -> None:
    make_runner(**parts.validation(f1=[1]), custom_hooks=[EarlyStoppingHook("acc")]).train()
    assert heard.text.count("EarlyStoppingHook watches 'acc', which the validation did not give; it gave ['f1']") == 1
    with pytest.raises(RuntimeError, match="watches 'acc'"):
        make_runner(**parts.validation(f1=[1]), custom_hooks=[EarlyStoppingHook("acc", strict=True)]).train()


def lines_of(runner) -> list[str]:
    return (Path(runner.log_dir) / f"{runner.timestamp}.log").read_text().splitlines()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(interval=2), ["2/5", "4/5"]),
        (dict(interval=2, ignore_last=False), ["2/5", "4/5", "5/5"]),
        (dict(interval=9), ["5/5"]),
    ],
    ids=["interval", "last", "short epoch"],
)
def test_which_iterations_have_a_line(make_runner, parts, options, expected) -> None:
    runner = make_runner(
        train_dataloader=parts.loader(10, 2), train_cfg=dict(max_epochs=1), log_level="INFO",
        default_hooks=dict(logger=dict(type="LoggerHook", **options)),
    )  # fmt: skip
    runner.train()
    shown = [
        line.split("Epoch(train)")[1].split("[")[2].split("]")[0] for line in lines_of(runner) if "Epoch(train)" in line
    ]
    assert shown == expected
    assert sum("Exp name: " in line for line in lines_of(runner)) == 1
    scalars = (Path(runner.log_dir) / "vis_data" / "scalars.json").read_text().splitlines()
    assert [json.loads(line)["step"] for line in scalars] == [int(text.split("/")[0]) for text in expected]


def test_the_name_of_the_run_is_repeated(make_runner) -> None:
    hooks = dict(logger=dict(type="LoggerHook", interval_exp_name=3))
    runner = make_runner(train_cfg=dict(by_epoch=False, max_iters=7), default_hooks=hooks, log_level="INFO")
    runner.train()
    assert sum("Exp name: " in line for line in lines_of(runner)) == 3  # 3, 6, and the end of the first pass


@pytest.mark.parametrize("keep_local", [True, False])
def test_logs_are_copied_at_the_end(make_runner, tmp_path, keep_local) -> None:
    hooks = dict(
        logger=dict(type="LoggerHook", out_dir=str(tmp_path / "logs"), out_suffix=".json", keep_local=keep_local)
    )
    runner = make_runner(default_hooks=hooks)
    runner.train()
    assert (tmp_path / "logs" / "run" / "vis_data" / "scalars.json").exists()
    assert (Path(runner.log_dir) / "vis_data" / "scalars.json").exists() is keep_local


def test_metrics_of_a_test_are_kept_as_a_file(make_runner, parts) -> None:
    given = dict(test_dataloader=parts.loader(), test_cfg={}, test_evaluator=parts.Scores(acc=[0.5]))
    runner = make_runner(**given)
    assert runner.test() == {"acc": 0.5}
    assert json.loads((Path(runner.log_dir) / f"{runner.timestamp}.json").read_text())["acc"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(interval=0), "interval must be a whole number, 1 or more, got 0"),
        (dict(interval_exp_name=0), "interval_exp_name must be a whole number, 1 or more, got 0"),
        (dict(out_dir=3), "out_dir must be a path or None, got int"),
        (dict(file_client_args={}, backend_args={}), "give backend_args only"),
    ],
    ids=["interval", "name", "out_dir", "both args"],
)
def test_logs_that_cannot_be(options, message) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        LoggerHook(**options)


def test_the_message_hub_knows_where_a_run_is(make_runner, parts) -> None:
    etas: list[float] = []

    class Sees(Hook):
        priority = "LOWEST"

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            etas.append(runner.message_hub.get_info("eta"))

    optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.25))
    runner = make_runner(**parts.validation(acc=[0.5, 0.75]), optim_wrapper=optim_wrapper, custom_hooks=[Sees()])
    runner.train()
    hub = runner.message_hub
    assert (hub.get_info("iter"), hub.get_info("epoch"), hub.get_info("max_iters"), hub.get_info("seed")) == (
        7,
        1,
        8,
        1,
    )
    assert list(hub.get_scalar("train/lr").data[0]) == [0.25] * 8
    assert list(hub.get_scalar("val/acc").data[0]) == [0.5, 0.75]
    assert len(hub.get_scalar("train/loss").data[0]) == 8
    assert len(etas) == 8
    assert all(eta > 0 for eta in etas[:-1])
    assert etas[-1] == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), (torch.ones(1), True), (torch.ones(2), False), ("x", False), ([1], False)],
    ids=str,
)
def test_what_is_one_number(value, expected) -> None:
    assert is_scalar(value) is expected


def test_times_and_the_remaining_time(monkeypatch) -> None:
    class At:
        iter, max_iters, message_hub = 0, 4, MessageHub("times")

    clock = iter([0.0, 1.0, 3.0, 3.5, 6.0])
    monkeypatch.setattr("eng.hooks.iter_timer_hook.time.perf_counter", lambda: next(clock))
    hook, runner = IterTimerHook(), At()
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    for number in range(2):
        runner.iter = number
        hook.before_train_iter(runner, number)
        hook.after_train_iter(runner, number, outputs={})
    histories = {key: list(buffer.data[0]) for key, buffer in runner.message_hub.log_scalars.items()}
    assert histories == {"train/data_time": [1.0, 0.5], "train/time": [3.0, 3.0]}
    assert runner.message_hub.get_info("eta") == 6.0


def test_a_loop_that_begins_no_epochs_is_timed_all_the_same() -> None:
    class At:
        iter, max_iters, message_hub = 0, 4, MessageHub("no epochs")

    hook = IterTimerHook()
    hook.before_train_iter(At(), 0)
    hook.after_train_iter(At(), 0, outputs={})
    assert len(At.message_hub.get_scalar("train/time").data[0]) == 1


@pytest.mark.parametrize(
    ("schedulers", "expected"),
    [
        (dict(type="StepLR", step_size=1, gamma=0.5), [0.1] * 4 + [0.05] * 4),
        (
            dict(type="StepLR", step_size=2, gamma=0.5, by_epoch=False),
            [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125],
        ),
        ([dict(type="LinearLR", start_factor=0.5, end=2, by_epoch=False)], [0.05] + [0.1] * 7),
    ],
    ids=["epochs", "iterations", "list"],
)
def test_learning_rates_follow_their_schedule(make_runner, schedulers, expected) -> None:
    runner = make_runner(param_scheduler=schedulers)
    runner.train()
    assert list(runner.message_hub.get_scalar("train/lr").data[0]) == pytest.approx(expected)


def test_a_plateau_follows_the_metric(make_runner, parts) -> None:
    scheduler = dict(type="ReduceOnPlateauLR", monitor="acc", rule="greater", factor=0.1, patience=0)
    runner = make_runner(**parts.validation(acc=[2, 1, 1]), train_cfg=dict(max_epochs=3), param_scheduler=scheduler)
    runner.train()
    assert runner.optim_wrapper.optimizer.param_groups[0]["lr"] < 0.1


def test_each_epoch_has_a_shuffle_of_its_own(make_runner, parts) -> None:
    orders: list[list[float]] = [[]]

    class Order(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            orders[-1] += data_batch[0].flatten().tolist()

        def after_train_epoch(self, runner):
            orders.append([])

    plain = parts.loader()
    sampler = DefaultSampler(plain.dataset, shuffle=True, seed=1)
    loader = torch.utils.data.DataLoader(plain.dataset, batch_size=2, sampler=sampler)
    make_runner(train_dataloader=loader, custom_hooks=[Order()]).train()
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_the_profiler_writes_a_trace(make_runner, tmp_path) -> None:
    tables = []
    hook = ProfilerHook(
        by_epoch=False, profile_times=2, json_trace_path=str(tmp_path / "trace.json"), on_trace_ready=tables.append
    )
    make_runner(custom_hooks=[hook]).train()
    assert "traceEvents" in json.loads((tmp_path / "trace.json").read_text())
    assert len(tables) == 1


def test_the_profiler_logs_a_table(make_runner) -> None:
    hook = dict(type="ProfilerHook", profile_times=1, on_trace_ready=dict(type="log_trace", row_limit=3))
    runner = make_runner(custom_hooks=[hook], log_level="INFO")
    runner.train()
    assert any("Self CPU" in line for line in lines_of(runner))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(profile_times=0), "profile_times must be at least 1, got 0"),
        (dict(activity_with_cpu=False), "choose activity_with_cpu or activity_with_cuda"),
        (dict(on_trace_ready=dict(type="print")), "of type 'log_trace' or 'tb_trace'"),
        (dict(profile_times=9), "profile_times is 9, but the run has only 2 epochs"),
    ],
    ids=["times", "activities", "handler", "short run"],
)
def test_a_profile_that_cannot_be(make_runner, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        make_runner(custom_hooks=[ProfilerHook(**options)]).train()


def test_an_npu_profile_needs_its_library() -> None:
    with pytest.raises(ValueError, match=r"begin \(3\) must be below end \(2\)"):
        NPUProfilerHook(begin=3, end=2)
    with pytest.raises(ModuleNotFoundError, match="torch_npu"):
        NPUProfilerHook()


def test_hooks_without_work_here_leave_a_run_alone(make_runner, parts) -> None:
    model = parts.Line()
    hooks = [
        dict(type="EmptyCacheHook", before_epoch=True, after_iter=True),
        dict(type="SyncBuffersHook"),
        ProgressBarHook(),
    ]
    runner = make_runner(model=model, custom_hooks=hooks, **parts.validation(acc=[1]))
    runner.train()
    assert runner.iter == 8
