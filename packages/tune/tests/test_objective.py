from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_parts import LR

from eng.tune import (
    MissingMetricError,
    load_sweep,
    sweep,
)  # fmt: skip


def test_missing_metric_ends_the_sweep_and_can_be_mended(config: Any, inline: Any, tmp_path: Path) -> None:
    with pytest.raises(MissingMetricError, match="no validation gives the metric 'distanse'; did you mean distance"):
        sweep(config(), {LR: [0.1, 0.2]}, metric="distanse", mode="min", folder=tmp_path / "s", executor=inline)
    assert inline.started == ["0000"]
    assert load_sweep(tmp_path / "s").trials[0].state == "open"
    mended = sweep(config(), {LR: [0.1, 0.2]}, metric="distance", mode="min", folder=tmp_path / "s", executor=inline)
    assert [trial.value for trial in mended.trials.values()] == pytest.approx([0.9**4, 0.8**4])


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
