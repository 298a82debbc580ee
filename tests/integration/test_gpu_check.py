"""scripts/gpu_check.sh --cpu: the checks that wait for an accelerator are programs that run."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(200)
def test_small_checks_pass_on_the_cpu(tmp_path: Path) -> None:
    """Compiling takes a minute and is tested elsewhere."""
    checks = [
        "settings",
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


def test_tests_that_take_too_long_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    gpu_check = importlib.import_module("gpu_check")
    runs: list[subprocess.Popen[str]] = []

    def sleep_in_place_of_tests(command: list[str], **options: Any) -> subprocess.Popen[str]:
        runs.append(popen([sys.executable, "-c", "import time; time.sleep(60)"], **options))
        return runs[-1]

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", sleep_in_place_of_tests)
    monkeypatch.setattr(gpu_check, "TESTS_S", 0.2)
    with pytest.raises(subprocess.TimeoutExpired, match=r"time\.sleep.* timed out"):
        gpu_check.marked_tests(gpu_check.Setup(torch.device("cpu"), False))
    assert len(runs) > 1
    assert all(run.returncode is not None for run in runs)


def test_a_check_that_hangs_or_dies_does_not_cost_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    gpu_check = importlib.import_module("gpu_check")
    child = (
        "import json, os, sys, time\n"
        "for name in sys.argv[2:]:\n"
        "    if name == 'hangs': time.sleep(600)\n"
        "    if name == 'dies': os._exit(3)\n"
        "    print('ROW ' + json.dumps({'check': name, 'result': 'ok', 'seconds': 0.1, 'failed': False}), flush=True)\n"
    )
    monkeypatch.setattr(gpu_check, "LIMITS_S", {"hangs": 0.2})
    monkeypatch.setattr(gpu_check, "START_S", 20.0)
    rows = list(gpu_check.supervised([sys.executable, "-c", child], ["first", "hangs", "dies", "last"]))
    results = [(row["check"], row["result"]) for row in rows]
    died = ("dies", "FAILED: the process died")
    assert results == [("first", "ok"), ("hangs", "STOPPED after 0 s"), died, ("last", "ok")]
    assert [row["failed"] for row in rows] == [False, True, True, False]

    monkeypatch.setattr(gpu_check, "BUDGET_S", 0.0)
    (late,) = gpu_check.supervised([sys.executable, "-c", child], ["first"])
    assert late["result"] == "left out: the time is up"


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
