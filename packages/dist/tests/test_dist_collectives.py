"""The same assertions for every number of ranks and every way to start them (see dist_workers.py)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dist_workers
import pytest
import torch
import torch.multiprocessing as mp

import eng.dist as dist

HERE = Path(__file__).parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.timeout(120)
def test_spawned_processes_agree(ranks: int, tmp_path: Path) -> None:
    mp.spawn(dist_workers.spawned, (ranks, dist.find_free_port(), "check_all", str(tmp_path)), nprocs=ranks)
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"passed-{rank}" for rank in range(ranks)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.timeout(120)
def test_data_may_be_on_another_device_than_the_backends(tmp_path: Path) -> None:
    arguments = (2, dist.find_free_port(), "check_data_on_an_accelerator", str(tmp_path))
    mp.spawn(dist_workers.spawned, arguments, nprocs=2)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.timeout(120)
def test_torchrun_processes_agree(ranks: int, run: Run) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    done = run([*command, str(HERE / "dist_workers.py"), "pytorch", "check_all"])
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"passed with {ranks} ranks" in done.stdout
