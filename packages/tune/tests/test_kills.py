"""A sweep whose controller or trials are killed comes to what an undisturbed one comes to; see kill_points.py.

``nox -s sweep_kills`` does this at 50 points, with real commands.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NUM_POINTS = 7  # each victim, each search


@pytest.mark.timeout(200)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sweep_killed_anywhere_trains_each_trial_once_and_finds_the_same_best(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    with (tmp_path / "out.txt").open("wb") as out:
        command = [sys.executable, str(HERE / "kill_points.py"), str(tmp_path / "sweeps"), str(NUM_POINTS)]
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        status = process.wait(190)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    text = (tmp_path / "out.txt").read_text()
    assert status == 0, text[-3000:]
    assert text.count("the same best") == NUM_POINTS
