"""Curves of a run that is stopped and goes on are those of one that was not."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from going_on_parts import TRACKERS, run
from visualization_parts import events, local

from eng.visualization import Visualizer
from eng.visualization.background import snapshot
from eng.visualization.curves import Line, read_lines
from eng.visualization.vis_backend import BaseVisBackend


def test_a_folder_that_all_starts_share_has_each_point_once(tmp_path, whole) -> None:
    shared = [{**tracker, "save_dir": str(tmp_path / "shared")} for tracker in TRACKERS]
    run(tmp_path, "20260101_000001", stop_at=6, backends=shared)
    run(tmp_path, "20260101_000002", stop_at=10, backends=shared, resume=True)
    run(tmp_path, "20260101_000003", backends=shared, resume=True)
    assert local(tmp_path / "shared") == local(whole)
    assert events(tmp_path / "shared") == events(whole)


def test_lines_that_are_gone_are_told(tmp_path, caplog) -> None:
    run(tmp_path, "20260101_000001", stop_at=6)
    (tmp_path / "20260101_000001/vis_data/scalars.json").unlink()
    told = logging.getLogger("eng.runner.curves")
    told.addHandler(caplog.handler)
    try:
        folder = run(tmp_path, "20260101_000002", resume=True, log_level="WARNING")
    finally:
        told.removeHandler(caplog.handler)
    assert min(line["iteration"] for line in local(folder) if "loss" in line) == 5
    assert "the curves of this start begin at iteration 4" in caplog.text


class Memory(BaseVisBackend):
    """A tracker that keeps runs of points."""

    in_background = True

    def __init__(self) -> None:
        super().__init__("")
        self.runs: list[list[int]] = []
        self.configs = 0

    def _init_env(self) -> None:
        self.runs.append([])

    experiment = None

    def add_config(self, config, **kwargs) -> None:
        self.configs += 1

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs) -> None:
        if not self._env_initialized:
            self._env_initialized = True
            self._init_env()
        self.runs[-1].append(step)


def test_a_run_that_goes_back_begins_a_new_run_of_the_tracker(tmp_path) -> None:
    tracker = Memory()
    visualizer = Visualizer("back", vis_backends=[tracker, *TRACKERS], save_dir=str(tmp_path))
    visualizer.add_config(ConfigLike())
    for iteration in range(1, 6):
        visualizer.add_scalars({"loss": 1 / iteration}, iteration, iteration=iteration, mode="train")
    visualizer.go_on_from([Line({"loss": 1 / i}, i, "iter", i, "train") for i in (1, 2)])
    for iteration in range(3, 7):
        visualizer.add_scalars({"loss": 1 / iteration}, iteration, iteration=iteration, mode="train")
    visualizer.close()
    assert tracker.runs == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]]
    assert tracker.configs == 2
    assert [line.step for line in read_lines(tmp_path / "vis_data/scalars.json")] == list(range(1, 7))
    assert [step for step, _ in events(tmp_path / "vis_data")["loss"]] == list(range(1, 7))


class ConfigLike:
    pretty_text = "model = 1"

    def dump(self, path: str) -> None:
        Path(path).write_text(self.pretty_text)


def test_what_waits_in_a_queue_does_not_change_with_the_caller() -> None:
    array, tensor = np.zeros(2), torch.zeros(2)
    kept = snapshot({"array": array, "tensor": tensor, "text": "x"})
    array += 1
    tensor += 1
    assert kept["array"].sum() == kept["tensor"].sum() == 0
    assert kept["text"] == "x"
