"""Starts shared_stream_ranks.py on two ranks, for the tests with and without other libraries."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

DRIVER = Path(__file__).with_name("shared_stream_ranks.py")


def trained_on_two_ranks(folder: Path, *cases: str) -> list[dict[str, Any]]:
    """What each of two ranks trained on, by case and start."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    ranks = []
    for rank in range(2):
        with (folder / f"log{rank}.txt").open("w") as log:
            ranks.append(
                subprocess.Popen(
                    [sys.executable, "-W", "ignore", str(DRIVER), str(folder), *cases],
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
    texts = [(folder / f"log{rank}.txt").read_text()[-3000:] for rank in range(2)]
    assert [process.returncode for process in ranks] == [0, 0], "\n".join(texts)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
