"""Starting jobs of one or several ranks, with a limit on their time and nothing left of them, and comparing their reports."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
# How far numbers of a run on a mesh may lie from those of one process: a sum over ranks rounds in another order.
TOLERANCE = 1e-5
AMP_TOLERANCE = 2e-2  # bfloat16 has 8 bits


@dataclass
class Finished:
    """How a job ended."""

    code: int | str
    output: str
    report: dict[str, Any]
    folder: Path


def run_job(
    script: Path,
    folder: Path,
    ranks: int,
    options: dict[str, Any],
    *,
    restarts: int = 0,
    timeout: float = 60,
    env: dict[str, str] | None = None,
) -> Finished:
    """Runs ``script`` with ``options`` on ``ranks`` processes (0: without torchrun) and waits for it."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"work_dir": str(folder / "work"), "report": str(folder / "report.json"), **options}
    arguments = folder / "options.json"
    arguments.write_text(json.dumps(options))
    command = [sys.executable, *launcher(ranks, restarts), str(script), str(arguments)]
    log = folder / "output.txt"
    code = run_command(command, log, timeout, {**variables(), **(env or {})})
    report = Path(options["report"])
    return Finished(code, log.read_text(), json.loads(report.read_text()) if report.exists() else {}, folder)


def launcher(ranks: int, restarts: int = 0) -> list[str]:
    """Arguments of Python that start a script on several ranks; none for 0 ranks."""
    if not ranks:
        return []
    torchrun = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", f"--max-restarts={restarts}"]
    return [*torchrun, "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]


def variables() -> dict[str, str]:
    """The environment of a job, without a rank."""
    ranks = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    inherited = {key: value for key, value in os.environ.items() if key not in ranks}
    return {**inherited, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "PYTHONWARNINGS": "ignore"}


def run_command(command: list[str], log: Path, timeout: float, env: dict[str, str]) -> int | str:
    """The exit status of a command whose output goes to a file, or how long it ran before it was ended."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=env, stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return f"still running after {timeout} s"
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Ends what may still run: torchrun, which ends its ranks, before anything else."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(35)  # it gives its ranks 30 seconds
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Runs:
    """Reports of runs by name; a launch makes all its runs when one of them is first asked for.

    Args:
        folder: each run's folder is made in it.
        launches: number of ranks (0: without torchrun) and options of the runs, by name of the launch.
        needs: runs that must have been made before a launch, by its name.
        timeout: seconds that a launch may take.
    """

    def __init__(
        self,
        folder: Path,
        launches: dict[str, tuple[int, dict[str, dict[str, Any]]]],
        needs: dict[str, list[str]] | None = None,
        timeout: float = 500,
    ) -> None:
        self.folder, self._launches, self._needs = folder, launches, needs or {}
        self._timeout = timeout
        self._done: dict[str, Finished] = {}

    def __getitem__(self, name: str) -> dict[str, Any]:
        report = self.of(name)
        assert "error" not in report, f"{name}: {report['error']}\n{self.output(name)[-4000:]}"
        return report

    def of(self, name: str) -> dict[str, Any]:
        """The report of a run, which may be ``{"error": ...}``."""
        done = self._launched(self._launch_of(name))
        assert done.code == 0, (done.code, done.output[-6000:])
        found: dict[str, Any] = done.report[name]
        return found

    def output(self, name: str) -> str:
        """What the launch of a run printed."""
        return self._launched(self._launch_of(name)).output

    def _launch_of(self, name: str) -> str:
        return next(launch for launch, (_, jobs) in self._launches.items() if name in jobs)

    def _launched(self, launch: str) -> Finished:
        if launch not in self._done:
            for needed in self._needs.get(launch, ()):
                self.of(needed)
            ranks, jobs = self._launches[launch]
            limited = {name: {"dist": {"timeout": 60}, **job} for name, job in jobs.items()}
            options = {"jobs": limited, "work_dir": str(self.folder)}
            place = self.folder / f"launch of {launch}"
            self._done[launch] = run_job(HERE / "training_job.py", place, ranks, options, timeout=self._timeout)
        return self._done[launch]


Shape = tuple[int, ...]  # ranks along each axis of a mesh


def ranks_of(shape: Shape) -> int:
    """All ranks of a mesh."""
    return math.prod(shape)


def name_of(shape: Shape) -> str:
    """The name of the run on a mesh."""
    return "mesh " + "x".join(map(str, shape))


def on_mesh(run: dict[str, Any], axes: dict[str, int], block: str, plan: dict[str, str]) -> dict[str, Any]:
    """A run on a mesh; activations of a block are computed again, and two shards save in shards."""
    strategy = {
        "type": "Mesh",
        **axes,
        "wrap_policy": {"classes": [block]},
        "checkpoint": "sharded" if axes["shard"] == 2 else "full",
    }
    if axes["tensor"] > 1:
        strategy["tensor_plan"] = plan
    return {**run, "strategy": strategy, "activation_checkpointing": ["blocks.0"]}


def farthest_loss(report: dict[str, Any], expected: dict[str, Any]) -> float:
    """The largest difference between losses of the same iteration."""
    return max(abs(a - b) for a, b in zip(report["losses"], expected["losses"], strict=True))


def assert_same(report: dict[str, Any], expected: dict[str, Any], begin: int = 0, *, losses: bool = True) -> None:
    """Losses, norms, rates, samples, metrics and weights of a run from iteration `begin` on.

    Without `losses` these are only counted.
    """
    close = {"rel": TOLERANCE, "abs": TOLERANCE}
    assert len(report["losses"]) == len(expected["losses"]) - begin
    if losses:
        assert report["losses"] == pytest.approx(expected["losses"][begin:], **close)
    for key in ("norms", "lrs"):
        assert report[key][2:] == pytest.approx(expected[key][begin + 2 :], **close), key
    assert report["samples"] == expected["samples"][begin:]
    last_metrics = expected["metrics"][len(expected["metrics"]) - len(report["metrics"]) :]
    for metrics, metrics_alone in zip(report["metrics"], last_metrics, strict=True):
        assert metrics == pytest.approx(metrics_alone, **close)
        assert metrics["counted"] == metrics["distinct"] == 13
    for name, values in expected["weights"].items():
        assert report["weights"][name] == pytest.approx(values, rel=1e-4, abs=TOLERANCE), name
