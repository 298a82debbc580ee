from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_parts import LR

from eng.tune import (
    SweepError,
    sweep,
)  # fmt: skip


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
