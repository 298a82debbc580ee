"""Starting jobs of one or several ranks, with a limit on their time and nothing left of them."""

from __future__ import annotations

import contextlib
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
