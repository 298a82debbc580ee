from __future__ import annotations

import pytest
import torch
from log_processor_parts import make_runner

from eng.runner.log_processor import LogProcessor

MEMORY = "memory: 0  " if torch.cuda.is_available() else ""


def test_line_of_a_training_iteration_by_epoch(request):
    tag, line = LogProcessor().get_log_after_iter(make_runner(request.node.name), 9, "train")
    assert line == (
        "Epoch(train)  [2][10/25]  lr: 1.0000e-02  eta: 0:00:40  time: 0.5000  data_time: 0.2500  "
        f"{MEMORY}loss_cls: 4.5000  loss_box: 1.0000  loss: 5.5000  acc: 0.9000"
    )
    assert (tag["epoch"], tag["iter"], tag["lr"], tag["loss"]) == (2, 10, 0.01, 5.5)


def test_line_of_a_training_iteration_by_iteration(request):
    _, line = LogProcessor(by_epoch=False).get_log_after_iter(make_runner(request.node.name), 9, "train")
    assert line.startswith("Iter(train) [10/50]  lr: 1.0000e-02  eta: 0:00:40  time: 0.5000")


@pytest.mark.parametrize(
    ("mode", "by_epoch", "expected"),
    [
        ("val", True, "Epoch(val)  [1][ 3/25]    eta: 0:00:40  time: 0.5000  data_time: 0.2500  "),
        ("test", True, "Epoch(test) [ 3/25]    eta: 0:00:40  time: 0.5000  data_time: 0.2500  "),
        ("val", False, "Iter(val) [ 3/25]    eta: 0:00:40  time: 0.5000  data_time: 0.2500  "),
    ],
    ids=["val", "test", "val-by-iteration"],
)
def test_lines_of_evaluation_iterations(request, mode, by_epoch, expected):
    runner = make_runner(request.node.name)
    runner.message_hub.update_scalars({f"{mode}/time": 0.5, f"{mode}/data_time": 0.25})
    _, line = LogProcessor(by_epoch=by_epoch).get_log_after_iter(runner, 2, mode)
    assert line == expected + MEMORY


def test_lines_after_evaluation(request):
    runner = make_runner(request.node.name)
    hub = runner.message_hub
    hub.update_scalars({"val/data_time": 0.25, "val/time": 0.5, "val/acc": 0.75})
    hub.update_info("val/table", torch.eye(2))
    tag, line = LogProcessor().get_log_after_epoch(runner, 25, "val")
    assert line == (
        "Epoch(val) [1][25/25]    acc: 0.7500  table: \ntensor([[1., 0.],\n        [0., 1.]])\n  data_time: 0.2500  time: 0.5000"
    )
    assert tag == {"acc": 0.75, "data_time": 0.25, "time": 0.5}
    tag, _ = LogProcessor().get_log_after_epoch(runner, 25, "val", with_non_scalar=True)
    assert "table" in tag
    _, line = LogProcessor(by_epoch=False).get_log_after_epoch(runner, 25, "test")
    assert line.startswith("Iter(test) [25/25]    ")


def test_custom_statistics_are_added_behind_or_replace(request):
    custom = [
        {"data_src": "loss", "method_name": "mean", "window_size": "global", "log_name": "loss_global"},
        {"data_src": "loss_cls", "method_name": "max", "window_size": "epoch"},
        {"data_src": "acc", "method_name": "min", "window_size": 3},
    ]
    runner = make_runner(request.node.name, iteration=29)
    tag, line = LogProcessor(custom_cfg=custom).get_log_after_iter(runner, 4, "train")
    assert tag["loss_global"] == 15.5
    assert tag["loss_cls"] == 29
    assert tag["acc"] == pytest.approx(2.7)
    assert line.endswith("loss: 25.5000  acc: 2.7000  loss_global: 15.5000")
    assert custom[0]["window_size"] == "global"


def test_hierarchy_keeps_the_phase_in_the_tag_only(request):
    tag, line = LogProcessor(log_with_hierarchy=True).get_log_after_iter(make_runner(request.node.name), 9, "train")
    assert {"train/lr", "train/loss", "train/time"} <= set(tag)
    assert "train/" not in line


def test_digits_and_mean_pattern(request):
    processor = LogProcessor(num_digits=2, mean_pattern=r".*(loss|time|acc).*")
    tag, line = processor.get_log_after_iter(make_runner(request.node.name), 9, "train")
    assert tag["acc"] == pytest.approx(0.45)
    assert "lr: 1.00e-02" in line


def test_without_a_training_loop_counts_are_zero(request):
    runner = make_runner(request.node.name, train_loop=False)
    tag, line = LogProcessor().get_log_after_iter(runner, 2, "val")
    assert line.startswith("Epoch(val)[0][ 3/25]")
    assert tag["iter"] == 0


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"custom_cfg": [{"data_src": "loss"}]}, ValueError, r"custom_cfg\[0\] needs method_name"),
        ({"custom_cfg": [{"data_src": "a", "method_name": "mean"}] * 2}, ValueError, "shown already"),
        ({"custom_cfg": [{"data_src": "a", "method_name": "mean", "window_size": 1.5}]}, TypeError, "1.5"),
        ({"by_epoch": False, "custom_cfg": [{"data_src": "a", "method_name": "mean", "window_size": "epoch"}]}, ValueError, "by_epoch=True"),
    ],
    ids=["incomplete", "twice", "window", "epoch-window"],
)  # fmt: skip
def test_bad_settings(kwargs, error, match):
    with pytest.raises(error, match=match):
        LogProcessor(**kwargs)


def test_unknown_phase(request):
    runner = make_runner(request.node.name)
    with pytest.raises(ValueError, match="'predict'"):
        LogProcessor().get_log_after_iter(runner, 0, "predict")
    with pytest.raises(ValueError, match="'train'"):
        LogProcessor().get_log_after_epoch(runner, 0, "train")
