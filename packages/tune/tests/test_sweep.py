"""Sweeps from Python; the trials are real trainings whose values have a closed form: (1 - lr * curvature) ** 4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_parts import CURVATURE, LR

from eng.config import Config
from eng.tune import (
    Choice,
    Float,
    Grid,
    Normal,
    OptunaSearch,
    RandomSearch,
    SpaceError,
    SweepError,
    load_sweep,
    sweep,
)  # fmt: skip
from eng.tune._controller import Controller


def expected(params: dict[str, Any]) -> float:
    return abs(1 - params[LR] * params.get(CURVATURE, 1.0)) ** 4


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


def test_choice_values_may_be_lists_and_mappings(config: Any, inline: Any, tmp_path: Path) -> None:
    schedules = [None, [{"type": "ConstantLR", "factor": 0.5, "begin": 0, "end": 10, "by_epoch": False}]]
    report = sweep(
        config("\nparam_scheduler = None\n", epochs=1), {"param_scheduler": Choice(tuple(schedules))}, metric="distance",
        mode="min", folder=tmp_path / "s", executor=inline,
    )  # fmt: skip
    assert [trial.value for trial in report.trials.values()] == pytest.approx([0.9**2, 0.95**2])


def test_second_call_before_the_first_trial_leaves_the_first_alone(
    config: Any, inline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call has written its definition, and its controller has not begun."""
    arguments = {"metric": "distance", "mode": "min", "folder": tmp_path / "s", "executor": inline}

    def second_call_first(*parts: Any) -> Controller:
        with pytest.raises(SweepError, match="another controller works on the sweep in .*s; wait for its end"):
            sweep(config(epochs=3), {LR: [0.2, 0.3]}, **arguments)
        return Controller(*parts)

    monkeypatch.setattr("eng.tune._sweep.Controller", second_call_first)
    report = sweep(config(epochs=1), {LR: [0.1]}, **arguments)
    assert [trial.params for trial in report.trials.values()] == [{LR: 0.1}]
    assert load_sweep(tmp_path / "s").definition.space == {LR: Choice((0.1,))}
    assert Config.fromfile(tmp_path / "s/config.py").train_cfg.max_epochs == 1
