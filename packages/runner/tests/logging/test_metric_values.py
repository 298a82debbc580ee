"""Metrics of any library as numbers, and metrics that are missing: alike in all that follow one."""

from __future__ import annotations

import logging
from fractions import Fraction

import numpy as np
import pytest
import torch

from eng.hooks import EarlyStoppingHook
from eng.logging.metric_values import MetricReader, as_number

HALVES = [
    0.5, Fraction(1, 2).__float__(), np.float16(0.5), np.float64(0.5), np.array(0.5), np.array([0.5]), np.array([[0.5]]),
    torch.tensor(0.5), torch.tensor([0.5]), torch.tensor([[0.5]], dtype=torch.bfloat16), torch.tensor([0.5]).requires_grad_(),
]  # fmt: skip
WRONG = [
    ("0.5", "got a str"), ({"a": 1.0}, "got a dict"), ([0.5], "got a list"), (1j, "got a complex"),
    (np.zeros(2), r"got a ndarray of shape \(2,\)"), (torch.zeros(2, 3), r"got a Tensor of shape \(2, 3\)"),
    (np.array(["a"]), r"got a ndarray of shape \(1,\)"), (torch.zeros(0), r"got a Tensor of shape \(0,\)"),
]  # fmt: skip


@pytest.mark.parametrize("value", HALVES, ids=repr)
def test_what_has_one_element_is_a_number(value) -> None:
    number = as_number("acc", value)
    assert type(number) is float
    assert number == 0.5


@pytest.mark.parametrize(("value", "got"), WRONG, ids=[repr(value)[:20] for value, _ in WRONG])
def test_the_error_names_metric_and_type(value, got) -> None:
    with pytest.raises(TypeError, match=f"the metric 'acc' must be one number, {got}"):
        as_number("acc", value)


def test_a_missing_metric_is_reported_once(caplog) -> None:
    reader = MetricReader("Somebody")
    with caplog.at_level(logging.WARNING, "eng"):
        assert [reader.read({"acc1": 1, "f1": None}, name) for name in ("acc", "acc", "f1", "f1")] == [None] * 4
        assert reader.read(None, "acc") is None
    assert [record.getMessage() for record in caplog.records] == [
        "Somebody watches 'acc', which the validation did not give; it gave ['acc1', 'f1']; did you mean 'acc1'?",
        "Somebody watches 'f1', which the validation gave as None: it is skipped",
    ]


PLATEAU = dict(type="ReduceOnPlateauLR", monitor="acc", rule="greater", patience=0)
CHECKPOINT = dict(checkpoint=dict(type="CheckpointHook", save_best="acc"))
FOLLOWERS = {
    "checkpoint": dict(default_hooks=CHECKPOINT),
    "early stopping": dict(custom_hooks=[dict(type="EarlyStoppingHook", monitor="acc")]),
    "plateau": dict(param_scheduler=PLATEAU),
}


@pytest.mark.parametrize("follower", FOLLOWERS.values(), ids=FOLLOWERS)
@pytest.mark.parametrize("value", HALVES[4:8], ids=repr)
def test_all_that_follow_a_metric_take_one_element(make_runner, parts, follower, value) -> None:
    runner = make_runner(**parts.validation(acc=[value]), **follower)
    runner.train()
    assert runner.epoch == 2


@pytest.mark.parametrize("follower", FOLLOWERS.values(), ids=FOLLOWERS)
@pytest.mark.parametrize("scores", [dict(acc=[None]), dict(f1=[1.0])], ids=["None", "absent"])
def test_all_that_follow_a_metric_warn_once_where_it_is_missing(make_runner, parts, heard, follower, scores) -> None:
    runner = make_runner(**parts.validation(**scores), **follower)
    runner.train()
    assert runner.epoch == 2
    assert heard.text.count("watches 'acc', which the validation") == 1


@pytest.mark.parametrize("follower", FOLLOWERS.values(), ids=FOLLOWERS)
def test_all_that_follow_a_metric_name_it_where_it_is_text(make_runner, parts, follower) -> None:
    with pytest.raises(TypeError, match="the metric 'acc' must be one number, got a str"):
        make_runner(**parts.validation(acc=["high"]), **follower).train()


def test_a_plateau_goes_on_when_its_metric_comes_back(make_runner, parts) -> None:
    # None, 1, None, 1: the second 1 is no improvement, so with patience 0 the rate falls to a tenth once.
    scores = parts.validation(acc=[None, 1.0, None, 1.0])
    runner = make_runner(**scores, train_cfg=dict(max_epochs=4), param_scheduler=PLATEAU)
    runner.train()
    assert runner.optim_wrapper.get_lr()["lr"] == [pytest.approx(0.01)]


def test_save_best_auto_takes_the_first_number(make_runner, parts) -> None:
    best = dict(checkpoint=dict(type="CheckpointHook", save_best="auto"))
    scores = parts.validation(confusion=[np.eye(2)], note=["x"], acc=[0.3, 0.5])
    runner = make_runner(**scores, default_hooks=best)
    runner.train()
    assert runner.message_hub.get_info("best_score") == 0.5


def test_the_message_of_early_stopping_under_min_delta(make_runner, parts, heard) -> None:
    scores = parts.validation(acc=[0.30, 0.32, 0.34, 0.36])
    runner = make_runner(**scores, train_cfg=dict(max_epochs=9), custom_hooks=[EarlyStoppingHook("acc", patience=3)])
    heard.listen(runner.logger)
    runner.train()
    assert runner.epoch == 4
    expected = "acc did not get better than 0.3 in 3 validations by more than min_delta=0.1; the last one gave 0.36"
    assert f"Training stops early: {expected}" in heard.lines
