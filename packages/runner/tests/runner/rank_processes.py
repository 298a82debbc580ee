"""Starts a script on two ranks, whose outputs go to files: a process that a rank left behind holds no pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def outputs_of_two_ranks(script: Path, folder: Path, *arguments: str) -> list[str]:
    """What each rank printed. None of the processes is left; a rank that takes longer than 140 seconds is an error."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    ranks = []
    for rank in range(2):
        with (folder / f"log{rank}.txt").open("w") as log:
            ranks.append(
                subprocess.Popen(
                    [sys.executable, "-W", "ignore", str(script), *arguments],
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
