"""What the tests beside ``test_model_wrappers.py`` share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = str(Path(__file__).with_name("model_workers.py"))


def ranks(what: str, world: int, folder: Path, **env: str) -> list[dict]:
    """What each rank printed."""
    common = {
        **os.environ,
        "WORLD_SIZE": str(world),
        "INIT_FILE": str(folder / "init"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        **env,
    }
    started = [
        subprocess.Popen([sys.executable, SCRIPT, what], env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(world)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for rank in range(world)
    ]  # fmt: skip
    done = [process.communicate(timeout=90) for process in started]
    for process, (_, err) in zip(started, done, strict=True):
        assert process.returncode == 0, err[-3000:]
    return [json.loads(out.strip().splitlines()[-1]) for out, _ in done]


def assert_close(found: dict, expected: dict) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-6), name
