"""Starting jobs of one or several ranks, with a limit on their time and nothing left of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass
class Finished:
    """How a job ended."""

    code: int
    output: str
    report: dict[str, Any]


def run_job(
    script: Path, folder: Path, ranks: int, options: dict[str, Any], *, restarts: int = 0, timeout: float = 60
) -> Finished:
    """Runs ``script`` with ``options`` on ``ranks`` processes (0: without torchrun) and waits for it."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"work_dir": str(folder / "work"), "report": str(folder / "report.json"), **options}
    arguments = folder / "options.json"
    arguments.write_text(json.dumps(options))
    command = [sys.executable, str(script), str(arguments)]
    if ranks:
        launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", f"--max-restarts={restarts}"]
        command = [sys.executable, *launcher, "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", *command[1:]]
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    }
    env = {**kept, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    report = Path(options["report"])
    return Finished(process.returncode, output, json.loads(report.read_text()) if report.exists() else {})
