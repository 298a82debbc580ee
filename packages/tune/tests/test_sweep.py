"""Sweeps from Python; the trials are real trainings whose values have a closed form: (1 - lr * curvature) ** 4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eng.config import Config
from eng.tune import (
    Choice,
    Float,
    Grid,
    LocalExecutor,
    MissingMetricError,
    Normal,
    OptunaSearch,
    RandomSearch,
    SpaceError,
    SweepError,
    load_sweep,
    sweep,
)  # fmt: skip
from eng.tune._report import explained_share, short_names

LR, CURVATURE = "optim_wrapper.optimizer.lr", "model.curvature"


def expected(params: dict[str, Any]) -> float:
    return abs(1 - params[LR] * params.get(CURVATURE, 1.0)) ** 4


@pytest.fixture
def inline() -> Any:
    from inline import InlineExecutor

    return InlineExecutor()


def test_grid_trains_every_combination(config: Any, inline: Any, tmp_path: Path) -> None:
    over: list[int] = []
    report = sweep(
        config(), {LR: [0.1, 0.5], CURVATURE: [1.0, 2.0]}, metric="distance", mode="min", folder=tmp_path / "s",
        executor=inline, on_trial=lambda trial: over.append(trial.number),
    )  # fmt: skip
    params = [(0.1, 1.0), (0.1, 2.0), (0.5, 1.0), (0.5, 2.0)]
    assert [(t.params[LR], t.params[CURVATURE]) for t in report.trials.values()] == params
    for trial in report.trials.values():
        assert trial.value == pytest.approx(expected(trial.params), abs=1e-6)
        assert (trial.runs[0].folder / "epoch_2.pth").exists()
        assert trial.runs[0].result.values == pytest.approx(
            [expected(trial.params) ** 0.5, expected(trial.params)], abs=1e-6
        )
    assert over == [0, 1, 2, 3]
    assert report.best.params == {LR: 0.5, CURVATURE: 2.0}
    best = Config.fromfile(tmp_path / "s/best.py")
    assert best.optim_wrapper.optimizer.lr == 0.5
    assert best.model.curvature == 2.0
    assert "work_dir" not in best


def test_second_call_trains_nothing_again_and_more_trials_continue(config: Any, inline: Any, tmp_path: Path) -> None:
    arguments = {"metric": "distance", "mode": "min", "folder": tmp_path / "s", "executor": inline, "seed": 3}
    space = {LR: Float(1e-3, 1.0, log=True)}
    first = sweep(config(epochs=1), space, search=RandomSearch(2), **arguments)
    assert inline.started == ["0000", "0001"]
    second = sweep(config(epochs=1), space, search=RandomSearch(3), **arguments)
    assert inline.started == ["0000", "0001", "0002"]
    drawn = [trial.params[LR] for trial in second.trials.values()]
    assert drawn[:2] == [trial.params[LR] for trial in first.trials.values()]
    assert len(set(drawn)) == 3


def test_another_sweep_in_the_folder_is_refused(config: Any, inline: Any, tmp_path: Path) -> None:
    arguments = {"metric": "distance", "mode": "min", "folder": tmp_path / "s", "executor": inline}
    sweep(config(epochs=1), {LR: [0.1]}, **arguments)
    with pytest.raises(SweepError, match=r"holds another sweep(.|\n)*space: .*0.1.*0.2"):
        sweep(config(epochs=1), {LR: [0.1, 0.2]}, **arguments)
    with pytest.raises(SweepError, match=r"config: .* is not as it was when the sweep began"):
        sweep(config(epochs=3), {LR: [0.1]}, **arguments)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "optim_wrapper.optimizer.lrr",
            "no key 'optim_wrapper.optimizer.lrr'; did you mean optim_wrapper.optimizer.lr",
        ),
        ("optim_wraper.optimizer.lr", "did you mean optim_wrapper.optimizer.lr"),
        ("model.curvatur", r"did you mean model.curvature"),
        ("custom_hooks.3.pause_s", r"no key 'custom_hooks.3.pause_s'; did you mean custom_hooks.0.pause_s"),
    ],
)
def test_unknown_keys_are_named_before_the_first_trial(
    key: str, message: str, config: Any, inline: Any, tmp_path: Path
) -> None:
    with pytest.raises(SpaceError, match=message):
        sweep(config(), {key: [1, 2]}, metric="distance", mode="min", folder=tmp_path / "s", executor=inline)
    assert not (tmp_path / "s").exists()


def test_argument_that_the_config_leaves_out_is_an_axis(config: Any, inline: Any, tmp_path: Path) -> None:
    report = sweep(
        config(epochs=1), {"optim_wrapper.optimizer.momentum": [0.0, 0.9]}, metric="distance", mode="min",
        folder=tmp_path / "s", executor=inline,
    )  # fmt: skip
    # w1 = 0.9, w2 = 0.9 - 0.1 * (0.9 * momentum + 0.1 / 0.1 * ...): momentum moves by 0.9 * 0.1 more
    assert [trial.value for trial in report.trials.values()] == pytest.approx([0.81, 0.81 - 0.09], abs=1e-6)


def test_missing_metric_ends_the_sweep_and_can_be_mended(config: Any, inline: Any, tmp_path: Path) -> None:
    with pytest.raises(MissingMetricError, match="no validation gives the metric 'distanse'; did you mean distance"):
        sweep(config(), {LR: [0.1, 0.2]}, metric="distanse", mode="min", folder=tmp_path / "s", executor=inline)
    assert inline.started == ["0000"]
    assert load_sweep(tmp_path / "s").trials[0].state == "open"
    mended = sweep(config(), {LR: [0.1, 0.2]}, metric="distance", mode="min", folder=tmp_path / "s", executor=inline)
    assert [trial.value for trial in mended.trials.values()] == pytest.approx([0.9**4, 0.8**4])


def test_config_without_validation_is_refused(config: Any, inline: Any, tmp_path: Path) -> None:
    path = config("\nval_dataloader = val_cfg = val_evaluator = None\n")
    with pytest.raises(SweepError, match="the config has no validation"):
        sweep(path, {LR: [0.1]}, metric="distance", mode="min", folder=tmp_path / "s", executor=inline)
    late = config("\ntrain_cfg = dict(max_epochs=1, val_begin=2)\n")
    with pytest.raises(MissingMetricError, match="ended without a validation"):
        sweep(late, {LR: [0.1]}, metric="distance", mode="min", folder=tmp_path / "s", executor=inline)


def test_failed_trial_is_kept_named_and_the_sweep_goes_on(config: Any, inline: Any, tmp_path: Path) -> None:
    space = {"model.broken": [False, True, False], LR: [0.5]}
    report = sweep(config(epochs=1), space, metric="distance", mode="min", folder=tmp_path / "s", executor=inline)
    assert [trial.state for trial in report.trials.values()] == ["complete", "failed", "complete"]
    assert "0001: RuntimeError: this model cannot be built" in str(report.trials[1].error)
    assert report.best.number == 0
    assert [trial.number for trial in report.ranked] == [0, 2, 1]


def test_max_failures_ends_the_sweep(config: Any, inline: Any, tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="2 trials failed and --max-failures is 1: the last is 0001: RuntimeError"):
        sweep(
            config(epochs=1), {"model.broken": [True], LR: [0.1, 0.2, 0.3]}, metric="distance", mode="min",
            folder=tmp_path / "s", executor=inline, max_failures=1,
        )  # fmt: skip
    assert inline.started == ["0000", "0001"]


def test_diverged_trial_fails_with_its_value(config: Any, inline: Any, tmp_path: Path) -> None:
    report = sweep(
        config("\nnan_policy = 'warn'\n"), {LR: [0.1, 1e30]}, metric="distance", mode="min", folder=tmp_path / "s",
        executor=inline,
    )  # fmt: skip
    assert [trial.state for trial in report.trials.values()] == ["complete", "failed"]
    assert "distance is" in str(report.trials[1].error)


def test_last_validation_may_count(config: Any, inline: Any, tmp_path: Path) -> None:
    arguments = {"metric": "distance", "mode": "min", "executor": inline}
    diverging = {LR: [2.5]}  # |1 - 2.5| = 1.5: the distance grows
    best = sweep(config(), diverging, folder=tmp_path / "best", **arguments)
    last = sweep(config(), diverging, folder=tmp_path / "last", objective="last", **arguments)
    assert best.best.value == pytest.approx(1.5**2)
    assert last.best.value == pytest.approx(1.5**4)


def test_folds_are_an_axis_and_their_mean_counts(config: Any, inline: Any, tmp_path: Path) -> None:
    report = sweep(
        config(epochs=1), {LR: [0.1, 0.5]}, metric="distance", mode="min", folder=tmp_path / "s", executor=inline,
        folds=3, fold_keys=["train_dataloader.dataset.fold", "val_evaluator.fold"],
    )  # fmt: skip
    assert inline.started == [f"{number:04d}/fold_{fold}" for number in (0, 1) for fold in (0, 1, 2)]
    for trial, lr in zip(report.trials.values(), (0.1, 0.5), strict=True):
        assert trial.value == pytest.approx((1 - lr) ** 2 + 1)  # folds add 0, 1 and 2
        options = [json.loads((run.folder / "trial.json").read_text())["options"] for run in trial.runs]
        assert [each["train_dataloader.dataset.fold"] for each in options] == [0, 1, 2]
    with pytest.raises(SweepError, match="folds need a KFoldDataset in the config"):
        sweep(config(), {LR: [0.1]}, metric="distance", mode="min", folder=tmp_path / "t", executor=inline, folds=3)
    with pytest.raises(SweepError, match="folds must be 2 or more"):
        sweep(config(), {LR: [0.1]}, metric="distance", mode="min", folder=tmp_path / "t", executor=inline, folds=1)


def test_mode_follows_the_metric_or_is_asked_for(config: Any, inline: Any, tmp_path: Path) -> None:
    report = sweep(config(epochs=1), {LR: [0.1, 0.5]}, metric="accuracy", folder=tmp_path / "s", executor=inline)
    assert report.definition.mode == "max"
    assert report.best.params[LR] == 0.5
    with pytest.raises(SweepError, match="'zzz' is better when it is greater is not known: give --mode"):
        sweep(config(), {LR: [0.1]}, metric="zzz", folder=tmp_path / "t", executor=inline)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"space": {}}, SpaceError, "the sweep has no axis"),
        ({"space": {LR: Float(0, 1)}}, SpaceError, "a grid takes lists of values; use --random or --optuna"),
        ({"search": RandomSearch(0)}, SweepError, "needs at least 1 trial, got 0"),
        ({"search": OptunaSearch(1), "space": {LR: Normal(0, 1)}}, SpaceError, "Optuna has no normal distribution"),
        (
            {"search": OptunaSearch(1, sampler="TPESampler2")},
            SweepError,
            "no sampler 'TPESampler2'; did you mean TPESampler",
        ),
        ({"search": OptunaSearch(1, pruner="Medium")}, SweepError, "no pruner 'Medium'"),
        ({"search": OptunaSearch(1, pruner="Median", pruner_args={"x": 1})}, SweepError, "MedianPruner: .*'x'"),
        ({"objective": "first"}, SweepError, "objective must be best or last"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    settings: dict[str, Any], error: type[Exception], message: str, config: Any, inline: Any, tmp_path: Path
) -> None:
    arguments = {"space": {LR: [0.1]}, "metric": "distance", "mode": "min", "search": Grid(), **settings}
    if "Optuna" in type(arguments["search"]).__name__:
        pytest.importorskip("optuna")
    with pytest.raises(error, match=message):
        sweep(config(), folder=tmp_path / "s", executor=inline, **arguments)
    assert inline.started == []


def test_local_executor_needs_a_device_for_each_job() -> None:
    with pytest.raises(SweepError, match="3 runs at a time need 3 devices, got 2"):
        LocalExecutor(3, [0, 1])
    with pytest.raises(SweepError, match="--jobs must be at least 1, got 0"):
        LocalExecutor(0)


def test_importance_is_the_correlation_ratio() -> None:
    # Two groups with means 1 and 3 around 2; within them 0.5 away: 4 * 1 / (4 * 1 + 4 * 0.25)
    assert explained_share(["a", "a", "b", "b"], [0.5, 1.5, 2.5, 3.5]) == pytest.approx(4 / 5)
    assert explained_share([1, 2, 1, 2], [0.0, 0.0, 1.0, 1.0]) == 0
    assert explained_share([1, 1], [0.0, 1.0]) == 0
    assert explained_share([0.1], [1.0]) == 0
    numbers = [float(number) for number in range(16)]
    assert explained_share(numbers, [number // 4 for number in range(16)]) == 1


def test_short_names_tell_axes_apart() -> None:
    assert short_names(["optim.lr", "model.depth"]) == ["lr", "depth"]
    assert short_names(["a.head.lr", "b.head.lr", "x"]) == ["a.head.lr", "b.head.lr", "x"]


def test_folder_without_a_sweep_is_named(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="holds no sweep"):
        load_sweep(tmp_path)


def test_choice_values_may_be_lists_and_mappings(config: Any, inline: Any, tmp_path: Path) -> None:
    schedules = [None, [{"type": "ConstantLR", "factor": 0.5, "begin": 0, "end": 10, "by_epoch": False}]]
    report = sweep(
        config("\nparam_scheduler = None\n", epochs=1), {"param_scheduler": Choice(tuple(schedules))}, metric="distance",
        mode="min", folder=tmp_path / "s", executor=inline,
    )  # fmt: skip
    assert [trial.value for trial in report.trials.values()] == pytest.approx([0.9**2, 0.95**2])
