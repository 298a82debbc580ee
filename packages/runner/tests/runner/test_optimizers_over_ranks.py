"""Muon, schedule-free and frozen parameters on two ranks equal a loop in one process, also after a resume."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

DRIVER = Path(__file__).with_name("optimizer_ranks.py")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each of two ranks wrote."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    ranks = []
    for rank in range(2):
        with (folder / f"log{rank}.txt").open("w") as log:
            ranks.append(
                subprocess.Popen(
                    [sys.executable, "-W", "ignore", str(DRIVER), str(folder / "rendezvous")],
                    env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
    try:
        for process in ranks:
            process.wait(timeout=140)
    finally:
        for process in ranks:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return [(folder / f"log{rank}.txt").read_text() for rank in range(2)]


@pytest.mark.timeout(160)
@pytest.mark.parametrize("scenario", ["muon_with_adamw_for_the_rest", "schedule_free", "frozen_until_an_epoch"])
def test_two_ranks_train_as_one_process(scenario: str, outputs: list[str]) -> None:
    if scenario.startswith("muon") and not hasattr(torch.optim, "Muon"):
        pytest.skip("torch.optim has Muon from 2.9 on")
    for output in outputs:
        assert f"passed {scenario}" in output, output[-3000:]
