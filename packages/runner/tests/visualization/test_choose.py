from __future__ import annotations

import json
from pathlib import Path

import pytest

from eng.visualization.curves import UnknownCurveError, choose_names, load_runs


def training(iteration: int, per_epoch: int = 4) -> list[dict]:
    """What a run writes in an iteration: its loss and, at the end of an epoch, the accuracy."""
    epoch = (iteration - 1) // per_epoch + 1
    lines = [
        {"loss": 1 / iteration, "time": 0.5, "iter": iteration, "epoch": epoch, "step": iteration,
         "axis": "iter", "iteration": iteration, "mode": "train"},
    ]  # fmt: skip
    if iteration % per_epoch == 0:
        position = {"step": epoch, "axis": "epoch", "iteration": iteration, "mode": "val"}
        lines.append({"accuracy": epoch / 10, "time": 0.1, **position})
    return lines


def write(path: Path, lines: list[dict], tail: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    return path


def start(work_dir: Path, stamp: str, last: int) -> Path:
    lines = [line for iteration in range(1, last + 1) for line in training(iteration)]
    return write(work_dir / stamp / "vis_data" / "scalars.json", lines)


def test_runs_in_folders_of_one_name_are_told_apart(tmp_path) -> None:
    for parent in ("a", "b"):
        start(tmp_path / parent / "run", "20260101_000000", 2)
    assert [run.name for run in load_runs([tmp_path / "a/run", tmp_path / "b/run"])] == ["a/run", "b/run"]


def test_an_unknown_curve_gets_near_names(tmp_path) -> None:
    start(tmp_path, "20260101_000000", 4)
    runs = load_runs([tmp_path])
    with pytest.raises(UnknownCurveError, match="'acuracy'; did you mean 'accuracy'"):
        choose_names(runs, ["acuracy"])
    with pytest.raises(UnknownCurveError, match="there are: accuracy, loss, time"):
        choose_names(runs, ["xyz"])
