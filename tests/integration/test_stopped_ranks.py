"""A signal to one rank, or one rank's clock, stops all of them at the same safe point; the run goes on with the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict:
    script = Path(__file__).with_name("stopped_ranks.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         str(script), str(tmp_path_factory.mktemp("ranks"))],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


@pytest.mark.timeout(175)
def test_left_alone_both_ranks_end(told) -> None:
    assert told["undisturbed"] == [[0, "", 60], [0, "", 60]]


@pytest.mark.parametrize(
    ("where", "code", "reason", "iteration"),
    [
        ("in training", 143, "SIGTERM", 20),  # the 14th iteration is on, and ranks ask one another at every tenth
        ("in the validation", 138, "SIGUSR1", 30),
        ("by the time budget", 75, "time budget", 0),
    ],
)
def test_one_rank_is_told_and_all_stop(told, where, code, reason, iteration) -> None:
    stopped, resumed, differences = told[where]
    assert stopped == [[code, reason, iteration]] * 2
    assert resumed == [[0, "", 60]] * 2
    assert differences == []
