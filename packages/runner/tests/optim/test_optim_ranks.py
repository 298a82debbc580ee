"""What needs two ranks: weighted accumulation under DDP, FSDP2's sharded gradients, ZeRO."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("optim_ranks.py")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each of two ranks wrote to stdout and stderr."""
    rendezvous = tmp_path_factory.mktemp("ranks") / "rendezvous"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(DRIVER), str(rendezvous)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        return [process.communicate(timeout=120) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
            process.wait()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("scenario", ["weighted_accumulation", "sharded", "zero", "bfloat16"])
def test_two_ranks(scenario, told):
    for out, err in told:
        assert f"passed {scenario}" in out, err[-3000:]
