"""What the tests beside ``test_bridge.py`` share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(script: str, *args: str, cwd: Path | None = None, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *args], capture_output=True, text=True, cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env}, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


ALIAS = "import eng.compat; eng.compat.install()\n"
