"""Runs of a sweep as processes of this machine and as jobs of submitit, with real processes; Ray is in test_ray.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from slurm_toys import make_cluster, path_with
from sweep_parts import LR

from eng.tune import LocalExecutor, SubmititExecutor, SweepError, load_sweep, sweep
from eng.tune._folder import Run


def test_local_executor_needs_a_device_for_each_job() -> None:
    with pytest.raises(SweepError, match="3 runs at a time need 3 devices, got 2"):
        LocalExecutor(3, [0, 1])
    with pytest.raises(SweepError, match="--jobs must be at least 1, got 0"):
        LocalExecutor(0)


@pytest.mark.timeout(120)
def test_processes_of_this_machine_share_the_devices_out(config: Any, tmp_path: Path) -> None:
    executor = LocalExecutor(2, [4, 5, 6, 7], {"OMP_NUM_THREADS": "1"})
    report = sweep(
        config(epochs=1, pause_s=0.2), {LR: [0.1, 0.5]}, metric="distance", mode="min", folder=tmp_path / "s",
        executor=executor,
    )  # fmt: skip
    assert [trial.value for trial in report.trials.values()] == pytest.approx([0.9**2, 0.5**2])
    diaries = [(trial.runs[0].folder / "diary.txt").read_text().splitlines() for trial in report.trials.values()]
    devices = {tuple({line.partition("devices=")[2] for line in lines}) for lines in diaries}
    assert devices == {("4,6",), ("5,7",)}


# --- submitit ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("submitit")
    folder = make_cluster(tmp_path / "cluster")
    monkeypatch.setenv("PATH", path_with(folder))
    yield folder
    for pid in (folder / "jobs").glob("*/pid"):
        try:
            os.killpg(int(pid.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.mark.timeout(150)
def test_slurm_jobs_outlive_a_controller_and_train_once(config: Any, eng: Any, cluster: Path, tmp_path: Path) -> None:
    words = [
        "sweep", config(epochs=2, pause_s=0.5), "--metric", "distance", "--mode", "min", "--grid", f"{LR}=0.1,0.5", "--jobs", 2,
        "--dir", tmp_path / "s", "--submitit", "--submitit-args", '{"slurm_partition": "gpu", "timeout_min": 7}',
    ]  # fmt: skip
    with (tmp_path / "controller.log").open("wb") as log:
        command = [sys.executable, "-m", "eng.cli", *map(str, words)]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    jobs = [tmp_path / f"s/trials/{number:04d}/job.json" for number in (0, 1)]
    end = time.monotonic() + 60
    while not all(job.exists() for job in jobs) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert [json.loads(job.read_text())["id"] for job in jobs] == ["1000", "1001"], (
        tmp_path / "controller.log"
    ).read_text()
    status, out, err = eng(*words)
    assert status == 0, out + err
    assert len(list((cluster / "jobs").iterdir())) == 2  # the second controller submitted nothing
    report = load_sweep(tmp_path / "s")
    assert [trial.value for trial in report.trials.values()] == pytest.approx([0.9**4, 0.5**4])
    for trial in report.trials.values():
        assert (trial.runs[0].folder / "diary.txt").read_text().count("start") == 1
    script = (cluster / "jobs/1000/script.sh").read_text()
    assert "#SBATCH --partition=gpu" in script
    assert "#SBATCH --time=7" in script
    assert "#SBATCH --job-name=eng-sweep" in script


@pytest.mark.timeout(100)
def test_slurm_job_that_fails_names_its_error(config: Any, cluster: Path, tmp_path: Path) -> None:
    report = sweep(
        config(), {"model.broken": [True]}, metric="distance", mode="min", folder=tmp_path / "s",
        executor=SubmititExecutor(tmp_path / "s"),
    )  # fmt: skip
    assert report.trials[0].error == "0000: RuntimeError: this model cannot be built"


@pytest.mark.timeout(100)
def test_submitits_local_executor_trains(config: Any, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    executor = SubmititExecutor(tmp_path / "s", 1, "local", {"timeout_min": 2})
    report = sweep(
        config(epochs=1), {LR: [0.5]}, metric="distance", mode="min", folder=tmp_path / "s", executor=executor
    )
    assert report.trials[0].value == pytest.approx(0.5**2)
    assert list((tmp_path / "s/submitit").glob("*_log.out"))


def test_job_without_a_process_lasts_as_long_as_its_run_is_occupied(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    executor = SubmititExecutor(tmp_path, 1, "local")
    run = Run(tmp_path / "trials/0000")
    run.write({"number": 0, "params": {}, "options": {}})
    assert executor.attach(run) is None
    (run.folder / "job.json").write_text('{"id": "123"}')
    with run.occupied():
        job = executor.attach(run)
        assert job is not None
        assert job.status() is None
    assert executor.attach(run) is None


def test_submitit_names_what_it_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    with pytest.raises(SweepError, match=r"submitit: .*no_such"):
        SubmititExecutor(tmp_path, 1, "local", {"no_such": 1})
    with pytest.raises(SweepError, match=r"submitit: .*nocluster"):
        SubmititExecutor(tmp_path, 1, "nocluster")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(SweepError, match=r"--submitit needs submitit: pip install submitit$"):
        SubmititExecutor(tmp_path)
