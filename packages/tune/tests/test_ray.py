"""Sweeps whose runs Ray places, on one machine; ``nox -s ray`` installs Ray, which is large, and runs these."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sweep_parts import LR

from eng.tune import RayExecutor, SweepError, load_sweep, sweep

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def ray_ends() -> Any:
    yield
    ray.shutdown()


def test_tasks_of_ray_train_the_grid(config: Any, tmp_path: Path) -> None:
    executor = RayExecutor("local", 2, {"num_cpus": 0.5})
    report = sweep(
        config(epochs=1), {LR: [0.1, 0.5], "model.broken": [False, True]}, metric="distance", mode="min",
        folder=tmp_path / "s", executor=executor,
    )  # fmt: skip
    assert [trial.state for trial in report.trials.values()] == ["complete", "failed", "complete", "failed"]
    assert [report.trials[number].value for number in (0, 2)] == pytest.approx([0.9**2, 0.5**2])
    assert report.trials[1].error == "0001: RuntimeError: this model cannot be built"
    assert not ray.is_initialized()


def test_killed_controller_of_ray_goes_on(config: Any, eng: Any, tmp_path: Path) -> None:
    words = [
        "sweep", config(epochs=4, pause_s=0.5), "--metric", "distance", "--mode", "min", "--grid", f"{LR}=0.1,0.5", "--jobs", 2,
        "--dir", tmp_path / "s", "--ray", "local", "--ray-args", '{"num_cpus": 0.5}',
    ]  # fmt: skip
    with (tmp_path / "controller.log").open("wb") as log:
        command = [sys.executable, "-m", "eng.cli", *map(str, words)]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    checkpoint = tmp_path / "s/trials/0000/epoch_1.pth"
    end = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert checkpoint.exists(), (tmp_path / "controller.log").read_text()
    status, out, err = eng(*words)
    assert status == 0, out + err
    report = load_sweep(tmp_path / "s")
    assert [trial.value for trial in report.trials.values()] == pytest.approx([0.9**8, 0.5**8])
    for trial in report.trials.values():
        lines = (trial.runs[0].folder / "diary.txt").read_text().splitlines()
        iterations = [line.split()[1] for line in lines if line.startswith("iter")]
        assert 8 <= len(iterations) <= 8 + 4  # at most an epoch of 2 is repeated at each of two starts


def test_address_without_a_cluster_is_named() -> None:
    with pytest.raises(SweepError, match=r"there is no Ray cluster at '127.0.0.1:1'"):
        RayExecutor("127.0.0.1:1")


def test_missing_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SweepError, match=r"--ray needs Ray: pip install 'ray\[default\]'"):
        RayExecutor("local")
