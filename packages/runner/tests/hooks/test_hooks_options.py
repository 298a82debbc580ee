"""Options of hooks that the runs of the other files leave at their defaults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hooks_parts import evaluation

from eng.hooks import CheckpointHook, EarlyStoppingHook, EMAHook, Hook, LoggerHook, NaiveVisualizationHook, ProfilerHook
from eng.structures import BaseDataElement


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(ema_type="StochasticWeightAverage"), lambda w: sum(w) / len(w)),
        (dict(ema_type="ExponentialMovingAverage", momentum=0.5, interval=4), lambda w: (w[0] + w[4]) / 2),
    ],
    ids=["mean", "every fourth"],
)
def test_kinds_of_averages(make_runner, options, expected) -> None:
    weights: list[float] = []

    class Note(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            weights.append(runner.model.fit.weight.item())

    hook = EMAHook(**options)
    make_runner(custom_hooks=[Note(), hook]).train()
    assert float(hook.ema_model.module.fit.weight) == pytest.approx(expected(weights), rel=1e-5)


@pytest.mark.parametrize("strict", [False, True])
def test_an_average_that_fits_in_part(make_runner, parts, strict) -> None:
    make_runner(model=parts.Line(bias=False), custom_hooks=[EMAHook()], train_cfg=dict(max_epochs=1)).train()
    again = make_runner(custom_hooks=[EMAHook(strict_load=strict)], load_from="", optim_wrapper=None, train_cfg=None,
                        train_dataloader=None, **{f"val_{k}": v for k, v in evaluation(parts).items()})  # fmt: skip
    again.state.load_from = str(Path(again.work_dir) / "epoch_1.pth")
    if not strict:
        assert again.val() == {"acc": 1}
        return
    with pytest.raises(RuntimeError, match=r"fit\.bias"):
        again.val()


def test_a_metric_that_is_no_number_stops_only_where_that_is_looked_for(make_runner, parts) -> None:
    hook = EarlyStoppingHook("acc", check_finite=False, patience=9)
    runner = make_runner(
        **parts.validation(acc=[1, float("nan"), 2]), train_cfg=dict(max_epochs=3), custom_hooks=[hook]
    )
    runner.train()
    assert runner.epoch == 3


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (dict(save_optimizer=False), "optimizer"),
        (dict(save_param_scheduler=False), "param_schedulers"),
    ],
    ids=["optimizer", "schedulers"],
)
def test_parts_may_be_left_out_of_checkpoints(make_runner, tmp_path, options, missing) -> None:
    make_runner(
        default_hooks=dict(checkpoint=CheckpointHook(**options)), param_scheduler=dict(type="StepLR", step_size=1)
    ).train()
    saved = torch.load(tmp_path / "run" / "epoch_2.pth")
    assert {"optimizer", "param_schedulers"} - set(saved) == {missing}


@pytest.mark.parametrize(("by_epoch", "step"), [(True, 1), (False, 4)])
def test_metrics_are_written_under_epochs_or_iterations(make_runner, parts, by_epoch, step) -> None:
    hooks = dict(logger=LoggerHook(log_metric_by_epoch=by_epoch))
    runner = make_runner(default_hooks=hooks, train_cfg=dict(max_epochs=1), **parts.validation(acc=[0.5]))
    runner.train()
    scalars = (Path(runner.log_dir) / "vis_data" / "scalars.json").read_text().splitlines()
    assert [line["step"] for line in map(json.loads, scalars) if "acc" in line] == [step]


def test_a_profile_by_epochs_with_a_schedule_ends_when_its_epochs_are_over(make_runner) -> None:
    ready = []
    hook = ProfilerHook(
        profile_times=1, schedule=dict(wait=1, warmup=1, active=1, repeat=1), record_shapes=True, profile_memory=True,
        with_stack=True, with_flops=True, on_trace_ready=lambda profile: ready.append(profile.step_num),
    )  # fmt: skip
    make_runner(custom_hooks=[hook]).train()
    assert ready == [3]
    assert hook.profiler is None


def test_a_profile_for_tensorboard(make_runner, tmp_path) -> None:
    hook = ProfilerHook(on_trace_ready=dict(type="tb_trace", dir_name=str(tmp_path / "traces"), worker_name="one"))
    make_runner(custom_hooks=[hook]).train()
    (trace,) = (tmp_path / "traces").glob("one.*.pt.trace.json")
    assert "traceEvents" in json.loads(trace.read_text())


def test_a_run_that_ends_early_closes_its_profile(make_runner, tmp_path) -> None:
    class Fail(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            raise OSError("it ends here")

    hook = ProfilerHook(profile_times=2, json_trace_path=str(tmp_path / "trace.json"))
    with pytest.raises(OSError, match="it ends here"):
        make_runner(custom_hooks=[hook, Fail()]).train()
    assert "traceEvents" in json.loads((tmp_path / "trace.json").read_text())


class Drawn:
    """Takes what a visualizer is given."""

    def __init__(self) -> None:
        self.pictures: list[tuple] = []
        self.graphs = 0

    def add_datasample(self, *args) -> None:
        self.pictures.append(args)

    def add_graph(self, model, data) -> None:
        self.graphs += 1


def sample(name: str, **meta) -> dict:
    picture = torch.arange(3 * 4 * 6, dtype=torch.uint8).reshape(3, 4, 6)
    return {"inputs": picture, "data_sample": BaseDataElement(metainfo=dict(img_path=f"a/{name}", **meta))}


@pytest.mark.parametrize("collated", [False, True], ids=["list", "dict"])
def test_pictures_are_drawn_without_padding_at_their_own_size(collated) -> None:
    class Run:
        visualizer, model = Drawn(), None

    batch = [sample("x.png", img_shape=(2, 4), pad_shape=(4, 6)), sample("y.png")]
    given = {
        "inputs": [one["inputs"] for one in batch],
        "data_samples": [one["data_sample"] for one in batch],
    }
    hook = NaiveVisualizationHook(interval=2, draw_gt=False)
    hook.before_train(Run)
    for number in range(4):
        hook.after_test_iter(Run, number, given if collated else batch, outputs=["first", "second"])
    assert Run.visualizer.graphs == 1
    names, pictures, _, outputs, truth, prediction = zip(*Run.visualizer.pictures, strict=True)
    assert names == ("x.png", "y.png") * 2
    assert outputs == ("first", "second") * 2
    assert (set(truth), set(prediction)) == ({False}, {True})
    assert [picture.shape for picture in pictures[:2]] == [(2, 4, 3), (4, 6, 3)]
    assert np.array_equal(pictures[1], batch[1]["inputs"].permute(1, 2, 0).numpy())


def test_a_picture_is_scaled_back_to_its_original_size() -> None:
    pytest.importorskip("cv2")

    class Run:
        visualizer = Drawn()

    NaiveVisualizationHook().after_test_iter(Run, 0, [sample("x.png", ori_shape=(8, 12))], outputs=[None])
    assert Run.visualizer.pictures[0][1].shape == (8, 12, 3)
