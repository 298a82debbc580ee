"""Killed inside a validation of several sets and resumed: the same metrics and bits.

``ENG_KILLS_ALL=1`` (``nox -s validation_kills``) kills each of three runs at 20 points, where a quick run takes a few.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from saved_bits import differences

# Four batches in a validation: two of each set. The first four kills strike in the first validation.
KILLS_ALL = os.environ.get("ENG_KILLS_ALL") == "1"
KILLS = range(1, 21) if KILLS_ALL else (1, 3, 12)
LIMIT_S = 900 if KILLS_ALL else 170


def saved(folder: Path) -> dict[str, Any]:
    checkpoint = torch.load(folder / "iter_16.pth", map_location="cpu", weights_only=False)
    state = checkpoint["run_state"]
    position = {key: value for key, value in state["position"].items() if key != "val_elapsed_s"}
    return {"weights": checkpoint["state_dict"], "optimizer": checkpoint["optimizer"], "position": position,
            "schedules": checkpoint["param_schedulers"], "rng": state["rng"]}  # fmt: skip


def journal(folder: Path) -> dict[int, dict[str, float]]:
    lines = folder.with_suffix(".jsonl").read_text().splitlines()
    return dict(map(json.loads, lines))


# "clock": 7 s a step, validations after 18 s (every 3 steps, and at the end) and checkpoints after 12 s (every 2 steps).
@pytest.mark.parametrize(
    ("interval", "validations"),
    [("part", range(2, 17, 2)), ("minutes", range(1, 17)), ("clock", [*range(3, 17, 3), 16])],
)
@pytest.mark.timeout(LIMIT_S + 10)
def test_killed_inside_a_validation_of_several_sets(interval: str, validations: Iterable[int], tmp_path: Path) -> None:
    script = Path(__file__).with_name("several_sets.py")
    words = [sys.executable, "-W", "ignore", str(script), interval, ",".join(map(str, KILLS)), str(tmp_path)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=env, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout.splitlines()[-1])
    assert ends["0"] == [0], done.stderr
    whole = tmp_path / "whole"
    assert list(journal(whole)) == list(validations)
    assert set(journal(whole)[16]) == {"clean/error", "shifted/error"}
    for number in KILLS:
        assert ends[str(number)] == [-signal.SIGKILL, 0], done.stderr
        killed = tmp_path / f"killed_{number}"
        assert journal(killed) == journal(whole), number
        assert differences(saved(killed), saved(whole)) == [], number
