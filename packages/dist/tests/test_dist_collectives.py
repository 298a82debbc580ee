"""The same assertions for every number of ranks and every way to start them (see dist_workers.py)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dist_workers
import pytest
import torch.multiprocessing as mp

import eng.dist as dist

HERE = Path(__file__).parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.timeout(120)
def test_spawned_processes_agree(ranks: int) -> None:
    mp.spawn(dist_workers.spawned, (ranks, dist.find_free_port(), "check_all"), nprocs=ranks)


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.timeout(120)
def test_torchrun_processes_agree(ranks: int, run: Run) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    done = run([*command, str(HERE / "dist_workers.py"), "pytorch", "check_all"])
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"passed with {ranks} ranks" in done.stdout
