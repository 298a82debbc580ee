"""Helpers of the tests of dist faults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import eng.dist as dist

HERE = Path(__file__).parent


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def run_ranks(scenario: str, ranks: int = 2, **env: str) -> list[Ended]:
    common = os.environ | {
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(dist.find_free_port()),
        "OMP_NUM_THREADS": "1",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
    }
    started = [
        subprocess.Popen(
            [sys.executable, str(HERE / "dist_scenarios.py"), scenario],
            env=common | env | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    try:
        texts = [process.communicate(timeout=60) for process in started]
    finally:
        for process in started:
            process.kill()
    return [Ended(process.returncode, *text) for process, text in zip(started, texts, strict=True)]
