from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from sweep_parts import LR

from eng.tune import (
    MissingMetricError,
    SweepError,
    sweep,
)  # fmt: skip


def test_config_without_validation_is_refused(config: Any, inline: Any, tmp_path: Path) -> None:
    path = config("\nval_dataloader = val_cfg = val_evaluator = None\n")
    with pytest.raises(SweepError, match="the config has no validation"):
        sweep(path, {LR: [0.1]}, metric="distance", mode="min", folder=tmp_path / "s", executor=inline)
    late = config("\ntrain_cfg = dict(max_epochs=1, val_begin=2)\n")
    with pytest.raises(MissingMetricError, match="ended without a validation"):
        sweep(late, {LR: [0.1]}, metric="distance", mode="min", folder=tmp_path / "s", executor=inline)


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


def test_a_trial_imports_modules_that_lie_beside_the_config(
    config: Any, inline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process of a trial reads the sweep's copy of the config, which lies in another folder."""
    (tmp_path / "beside_the_config.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = config("\ncustom_imports = dict(imports=['tune_toys', 'beside_the_config'])\n", epochs=1)
    start = inline.start

    def start_as_a_new_process(run: Any) -> Any:
        sys.modules.pop("beside_the_config")
        sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]
        return start(run)

    inline.start = start_as_a_new_process
    report = sweep(path, {LR: [0.1]}, metric="distance", mode="min", folder=tmp_path / "s", executor=inline)
    assert [(trial.state, trial.error) for trial in report.trials.values()] == [("complete", None)]
