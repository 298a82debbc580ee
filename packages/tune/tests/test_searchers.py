from __future__ import annotations

from pathlib import Path
from typing import Any

from sweep_parts import LR

from eng.tune import (
    Float,
    RandomSearch,
    sweep,
)  # fmt: skip


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
