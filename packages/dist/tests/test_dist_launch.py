"""The launchers: what they tell, what is missing, and real process groups started by each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import eng.dist as dist

HERE = Path(__file__).parent


WORKERS = str(HERE / "dist_workers.py")


Run = Callable[..., "subprocess.CompletedProcess[str]"]


def start(ranks: list[dict[str, str]], script: str, *args: str) -> list[tuple[int, str]]:
    """Starts one process per set of variables and gives exit statuses and what they wrote."""
    common = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    command = [sys.executable, script, *args]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(command, env=common | each, **pipe) for each in ranks]  # type: ignore[call-overload]
    try:
        texts = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, text) for process, text in zip(processes, texts, strict=True)]


def test_ranks_that_disagree_on_the_world_size_are_told() -> None:
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(dist.find_free_port())}
    ranks = [shared | {"RANK": str(r), "LOCAL_RANK": str(r), "WORLD_SIZE": size} for r, size in enumerate("23")]
    (first, text), (second, other_text) = start(ranks, WORKERS, "pytorch", "check_environment")
    assert first == second == 1
    assert "rank 0 was told of 2 processes, but rank 1 of 3" in text
    assert "rank 1 was told of 3 processes, but rank 0 of 2" in other_text


@pytest.mark.skipif(shutil.which("srun") is None, reason="no srun on this machine")
def test_srun_starts_a_group(run: Run) -> None:
    done = run(["srun", "-n", "2", sys.executable, WORKERS, "slurm", "check_environment"])
    assert done.returncode == 0 and "passed with 2 ranks" in done.stdout, done.stderr[-2000:]


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on this machine (Debian: openmpi-bin)")
def test_mpirun_starts_a_group_on_a_free_port(run: Run) -> None:
    command = [
        "mpirun",
        "--allow-run-as-root",
        "--oversubscribe",
        "--bind-to",
        "none",
        "-n",
        "2",
        sys.executable,
        WORKERS,
        "mpi",
    ]
    done = run([*command, "check_objects"])
    assert done.returncode == 0 and "passed with 2 ranks" in done.stdout, done.stderr[-2000:]
