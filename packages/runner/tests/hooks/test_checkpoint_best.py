from __future__ import annotations

import pytest

from eng.hooks._checkpoint_best import Best
from eng.logging.metric_values import MetricReader


def best_of(*metrics: str, rule=None) -> Best:
    return Best(metrics, rule, None, None, MetricReader("test"))


@pytest.mark.parametrize(
    ("metric", "rule", "values", "better"),
    [
        ("acc", None, [1, 3, 2, 3, 4], [1, 3, 4]),
        ("loss", None, [3, 1, 2, 1, 0], [3, 1, 0]),
        ("score", "less", [3, 1, 2], [3, 1]),
        ("acc", None, [float("nan"), 1, float("nan"), 2], [1, 2]),
    ],
)
def test_a_score_must_beat_those_before(metric, rule, values, better) -> None:
    best = best_of(metric, rule=rule)
    assert [value for value in values if best.observe({metric: value}) == [metric]] == better
    assert best.scores == {metric: better[-1]}


def test_auto_follows_the_first_number(files) -> None:
    best = best_of("auto")
    assert (best.key_indicators, best.rules) == (["auto"], {})
    assert best.observe({"table": "text", "val_loss": 2.0, "acc": 0.5}) == ["val_loss"]
    assert (best.key_indicators, best.rules) == (["val_loss"], {"val_loss": "less"})
    assert best.observe({"acc": 0.9, "val_loss": 1.0}) == ["val_loss"]


def test_a_checkpoint_is_waiting_until_it_is_recorded() -> None:
    best = best_of("acc", "f1")
    best.observe({"acc": 1, "f1": 2})
    assert best.record("acc", "/run/best_acc_epoch_1.pth") is None
    assert best.waiting == {"f1": 2}
    best.observe({"acc": 2, "f1": 1})
    assert best.record("acc", "/run/best_acc_epoch_2.pth") == "/run/best_acc_epoch_1.pth"
    assert best.waiting == {}


@pytest.mark.parametrize("metrics", [("acc", "f1"), ("auto",)], ids=["named", "auto"])
def test_a_state_comes_back(files, tmp_path, metrics) -> None:
    first = best_of(*metrics)
    first.observe({"acc": 1, "f1": 2})
    first.record("acc", files.path(files.best("acc", 1)))
    second = best_of(*metrics)
    second.load_state_dict(first.state_dict(), files)
    assert second.state_dict() == first.state_dict()
    assert second.rules == first.rules
    assert second.names(files) == {"best_acc_epoch_1.pth"}
    assert second.observe({"acc": 1, "f1": 2}) == []


def test_a_metric_that_is_not_followed_any_more_is_left_out(files) -> None:
    first = best_of("acc", "f1")
    first.observe({"acc": 1, "f1": 2})
    for metric in ("acc", "f1"):
        first.record(metric, files.path(files.best(metric, 1)))
    second = best_of("f1")
    second.load_state_dict(first.state_dict(), files)
    assert (second.scores, list(second.paths)) == ({"f1": 2.0}, ["f1"])


@pytest.mark.parametrize("junk", ["/etc/passwd", 7, None, [1], {"acc": "/etc/passwd"}, {3: 4}], ids=str)
def test_only_numbers_and_names_of_this_run_are_taken_from_a_state(files, junk) -> None:
    best = best_of("acc")
    best.load_state_dict(dict.fromkeys(["scores", "paths", "waiting"], junk), files)
    assert best.state_dict() == {"scores": {}, "paths": {}, "waiting": {}}


@pytest.mark.parametrize(
    ("metrics", "info", "scores"),
    [
        (("acc",), {"best_score": 3.0, "best_ckpt": "/old/best_acc_epoch_1.pth"}, {"acc": 3.0}),
        (("acc", "f1"), {"best_score_f1": 2, "best_ckpt_f1": "/old/best_f1_epoch_1.pth"}, {"f1": 2.0}),
        (
            ("auto",),
            {"best_metric": "acc", "best_score": 3, "best_ckpt": "/old/best_acc_epoch_1.pth"},
            {"acc": 3.0},
        ),
        (("auto",), {"best_score": 3, "best_ckpt": "/old/best_acc_epoch_1.pth"}, {"auto": 3.0}),  # MMEngine's
        (("acc",), {"best_score": 3.0}, {}),
    ],
    ids=["single", "several", "auto", "auto of MMEngine", "no file"],
)
def test_a_message_hub_tells_what_earlier_versions_kept(files, metrics, info, scores) -> None:
    best = best_of(*metrics)
    best.load_state_dict(best.state_of_message_hub(info), files)
    assert best.scores == scores
    assert list(best.paths) == list(scores)


def test_rules_and_metrics_must_fit() -> None:
    with pytest.raises(ValueError, match="names a metric twice"):
        best_of("acc", "acc")
    with pytest.raises(ValueError, match="'auto' stands alone"):
        best_of("auto", "acc")
    with pytest.raises(ValueError, match="2 metrics in save_best and 3 rules"):
        best_of("acc", "f1", rule=["less"] * 3)
