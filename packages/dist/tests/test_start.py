from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


WORKERS = str(HERE / "dist_workers.py")


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


def test_slurm_variables_start_a_group_on_a_free_port() -> None:
    shared = {"SLURM_NTASKS": "2", "SLURM_NODELIST": "node", "SLURM_NNODES": "1", "SLURM_JOB_ID": f"t{os.getpid()}"}
    ranks = [shared | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(2)]
    ends = start(ranks, WORKERS, "slurm", "check_environment")
    assert [status for status, _ in ends] == [0, 0], ends
    assert "passed with 2 ranks" in ends[0][1]
