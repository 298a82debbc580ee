"""scripts/gpu_check.sh --cpu: the checks that wait for an accelerator are programs that run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(200)
def test_small_checks_pass_on_the_cpu(tmp_path: Path) -> None:
    """Compiling takes a minute and is tested elsewhere."""
    checks = [
        "loop without waits",
        "one rank",
        "exact resume",
        "overhead",
        "GPT 350M",
        "asynchronous save",
        "input path",
    ]
    results = tmp_path / "results.json"
    command = ["bash", str(ROOT / "scripts/gpu_check.sh"), "--cpu", "--json", str(results), "--only", *checks]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    rows = json.loads(results.read_text())["rows"]
    assert [row["check"] for row in rows] == checks
    assert "equal bits" in done.stdout
    assert "DDP and FSDP2 trained over gloo" in done.stdout


def test_a_failing_check_is_told(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, 'scripts'); import torch, gpu_check as c\n"
        "c.CHECKS['overhead'] = lambda setup: 1 / 0\n"
        "rows = c.run_checks(c.Setup(torch.device('cpu'), True), ['overhead', 'input path'])\n"
        "assert [row['failed'] for row in rows] == [True, False]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "FAILED: ZeroDivisionError" in done.stdout
