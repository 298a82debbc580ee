"""Curves of a run that is stopped and goes on are those of one that was not."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import Runner
from eng.visualization import Visualizer
from eng.visualization.background import snapshot
from eng.visualization.curves import Line, read_lines
from eng.visualization.vis_backend import BaseVisBackend

TRACKERS = [{"type": "LocalVisBackend"}, {"type": "TensorboardVisBackend"}]


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, x, y, mode="tensor"):
        error = (self.fit(x) - y).square().mean()
        return {"loss": error} if mode == "loss" else [error]


class Error(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results.append(float(data_samples[0]))

    def compute_metrics(self, results):
        return {"error": sum(results)}


class Extra(Hook):
    """Writes scalars of its own: at the end of iterations and of epochs; and stops the run where it is told to."""

    priority = "LOWEST"

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at = stop_at

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        runner.visualizer.add_scalar("extra/before", runner.iter, step=runner.iter)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self.stop_at == runner.iter:
            raise KeyboardInterrupt

    def after_train_epoch(self, runner) -> None:
        runner.visualizer.add_scalar("extra/epoch", runner.epoch, step=runner.epoch)


def run(
    work_dir: Path,
    stamp: str,
    *,
    stop_at: int | None = None,
    resume: bool = False,
    backends=TRACKERS,
    every=4,
    log_level="ERROR",
):
    class Stamped(Runner):
        """Starts of a test follow one another within a second; each gets a time of its own."""

        def setup_env(self, env_cfg) -> None:
            super().setup_env(env_cfg)
            self._timestamp = stamp

    torch.manual_seed(0)
    x = torch.linspace(0, 1, 8)[:, None]
    loader = [torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x), batch_size=2) for _ in range(2)]
    hooks = {"logger": {"type": "LoggerHook", "interval": 1}}
    hooks["checkpoint"] = {"type": "CheckpointHook", "interval": every, "by_epoch": False}
    runner = Stamped(
        Model(), str(work_dir), train_dataloader=loader[0], val_dataloader=loader[1], val_cfg={}, val_evaluator=Error(),
        train_cfg={"max_epochs": 3}, optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.05}}, resume=resume,
        default_hooks=hooks, custom_hooks=[Extra(stop_at)], randomness={"seed": 0}, log_level=log_level,
        visualizer={"type": "Visualizer", "vis_backends": backends}, experiment_name=work_dir.name,
    )  # fmt: skip
    try:
        runner.train()
    except KeyboardInterrupt:
        runner.visualizer.close()
    return work_dir / stamp / "vis_data"


def local(folder: Path, name: str = "scalars.json") -> list[dict]:
    lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: value for key, value in line.items() if "time" not in key} for line in lines]


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    names = [name for name in found.Tags()["scalars"] if "time" not in name]
    return {name: [(point.step, point.value) for point in found.Scalars(name)] for name in names}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("whole"), "20260101_000000")


@pytest.mark.parametrize(
    ("every", "stop_at"), [(4, 6), (4, 4), (3, 10), (5, 11)],
    ids=["within an epoch", "after a validation", "over several epochs", "at the last iteration"],
)  # fmt: skip
def test_a_run_that_is_stopped_and_goes_on_has_the_curves_of_one_that_is_not(tmp_path, whole, every, stop_at) -> None:
    run(tmp_path, "20260101_000001", stop_at=stop_at, every=every)
    folder = run(tmp_path, "20260101_000002", resume=True, every=every)
    assert local(folder) == local(whole)
    assert local(folder, "20260101_000002.json") == local(whole, "20260101_000000.json")
    assert events(folder) == events(whole)


def test_a_folder_that_all_starts_share_has_each_point_once(tmp_path, whole) -> None:
    shared = [{**tracker, "save_dir": str(tmp_path / "shared")} for tracker in TRACKERS]
    run(tmp_path, "20260101_000001", stop_at=6, backends=shared)
    run(tmp_path, "20260101_000002", stop_at=10, backends=shared, resume=True)
    run(tmp_path, "20260101_000003", backends=shared, resume=True)
    assert local(tmp_path / "shared") == local(whole)
    assert events(tmp_path / "shared") == events(whole)


def test_without_a_local_backend_lines_are_kept_all_the_same(tmp_path, whole) -> None:
    only = [{"type": "TensorboardVisBackend"}]
    run(tmp_path, "20260101_000001", stop_at=6, backends=only)
    folder = run(tmp_path, "20260101_000002", backends=only, resume=True)
    assert events(folder) == events(whole)


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


def test_a_wandb_run_that_its_id_goes_on_with_gets_only_what_it_lacks(tmp_path, monkeypatch) -> None:
    """Weights & Biases resumes a run on its server only; here a stand-in plays the run that it gives back."""
    from eng.visualization import WandbVisBackend

    class Run:
        resumed = True
        summary = {"iteration/train": 5, "iteration/val": 4}

        def __init__(self) -> None:
            self.rows: list[dict] = []

        def define_metric(self, *args, **kwargs) -> None:
            pass

        def log(self, row) -> None:
            self.rows.append(row)

    run = Run()
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **kwargs: run))
    tracker = WandbVisBackend(str(tmp_path), init_kwargs={"id": "a"})
    tracker.replay([Line({"loss": i}, i, "iter", i, "train") for i in range(1, 5)])
    for iteration in range(5, 9):  # the run that was killed had sent iteration 5; the checkpoint is of iteration 4
        tracker.add_scalars({"loss": iteration}, iteration, axis="iter", iteration=iteration, mode="train")
    tracker.add_scalars({"error": 0.5}, 2, axis="epoch", iteration=8, mode="val")
    assert [row["loss"] for row in run.rows if "loss" in row] == [6, 7, 8]
    assert [(row["error"], row["epoch"]) for row in run.rows if "error" in row] == [(0.5, 2)]


def test_a_tracker_that_is_not_installed_is_dropped_at_once_with_what_to_install(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    visualizer = Visualizer("missing", vis_backends=TRACKERS, save_dir=str(tmp_path))
    with caplog.at_level(logging.WARNING, "eng.visualization"):
        visualizer.add_scalars({"loss": 1.0}, 1)
        visualizer.close()
    assert caplog.text.count("pip install 'tensorboard'") == 1
    assert (tmp_path / "vis_data/scalars.json").read_text() == '{"loss": 1.0, "step": 1}\n'
