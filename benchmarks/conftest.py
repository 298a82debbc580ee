"""Fixtures that compare callables in one run and report ratios.

Machines drift, so a time alone says little. `versus` interleaves ours with its peer, takes the best of each, and
prints the ratio beside the target that the project promises. A ratio or a share that misses its target by more than half
fails; times are reported and never fail, so that a slow machine is no fault. With ``--history`` each row is appended to a
file of JSON lines in ``benchmarks/history/``, with the machine that measured it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
import sys
import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from thresholds import missed

ROWS: list[tuple[str, str, str, str]] = []
HISTORY = Path(__file__).parent / "history"


def machine() -> dict[str, str | int | float | None]:
    """What a reader of the history needs to know about the machine."""
    import torch

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": cpu_model(), "cores": os.cpu_count(), "load": load, "system": platform.platform(),
        "python": platform.python_version(), "torch": torch.__version__, "commit": commit(),
    }  # fmt: skip


def cpu_model() -> str:
    """The processor's name; of Linux, as `platform` knows the architecture alone there."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def commit() -> str | None:
    """Of the checkout that is measured; None outside of git."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HISTORY.parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--history", action="store_true", help="append the rows of this run to benchmarks/history/")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not ROWS or not session.config.getoption("--history"):
        return
    today, facts = dt.datetime.now(dt.timezone.utc).date().isoformat(), machine()
    HISTORY.mkdir(exist_ok=True)
    with (HISTORY / f"{today}.jsonl").open("a", encoding="utf-8") as file:
        for name, measured, target, detail in ROWS:
            row = {"date": today, "name": name, "measured": measured, "target": target, "detail": detail, **facts}
            file.write(json.dumps(row) + "\n")


@dataclass
class Versus:
    """Compares two callables; times are seconds per call, the best of several interleaved rounds."""

    benchmark: Any
    failures: list[str] = field(default_factory=list)

    def __call__(
        self,
        name: str,
        ours: Callable[[], object],
        peer: Callable[[], object],
        *,
        target: str,
        rounds: int = 7,
        number: int | None = None,
    ) -> float:
        """Ratio ours / peer, printed with `target` (such as ``"<= 1.3"``) at the end of the run."""
        mine, theirs = timeit.Timer(ours), timeit.Timer(peer)
        number = number or max(1, min(mine.autorange()[0], 100_000))
        pairs = [(mine.timeit(number) / number, theirs.timeit(number) / number) for _ in range(rounds)]
        best_mine, best_theirs = min(p[0] for p in pairs), min(p[1] for p in pairs)
        ratio = best_mine / best_theirs
        self.report(name, f"{ratio:.2f}x", target, f"{best_mine * 1e6:.2f} us against {best_theirs * 1e6:.2f} us")
        return ratio

    def per_call(self, name: str, ours: Callable[[], object], *, target: str, rounds: int = 7) -> float:
        """Microseconds per call of `ours`, the best of `rounds`."""
        timer = timeit.Timer(ours)
        number = max(1, timer.autorange()[0] // 5)
        best = min(timer.timeit(number) / number for _ in range(rounds)) * 1e6
        self.report(name, f"{best:.2f} us", target, "")
        return best

    def report(self, name: str, measured: str, target: str, detail: str) -> None:
        """Adds a row to the table at the end of the run."""
        ROWS.append((name, measured, target, detail))
        self.benchmark.extra_info[name] = {"measured": measured, "target": target, "detail": detail}
        if missed(measured, target):
            self.failures.append(f"{name}: {measured}, target {target} ({detail})")


@pytest.fixture
def versus(benchmark: Any) -> Any:
    """The comparison; it also feeds pytest-benchmark, so that ``--benchmark-json`` keeps the figures."""
    comparison = Versus(benchmark)
    yield comparison
    if not benchmark.stats:
        benchmark.pedantic(lambda: None, rounds=1)
    if comparison.failures:
        pytest.fail("far beyond the target: " + "; ".join(comparison.failures))


@pytest.fixture(scope="session")
def reference() -> Callable[..., Any]:
    """Runs a script in an environment that holds MMEngine 0.10.7 and gives the JSON that it prints last.

    `nox -s bench` makes that environment and names its interpreter in ENG_REFERENCE_PYTHON.
    """
    return runs_scripts("ENG_REFERENCE_PYTHON", "mmengine 0.10.7")


@pytest.fixture(scope="session")
def peers() -> Callable[..., Any]:
    """Runs a script in an environment with Ignite, Accelerate and Lightning; returns the JSON in its last output line.

    `nox -s bench` makes that environment and names its interpreter in ENG_PEERS_PYTHON.
    """
    return runs_scripts("ENG_PEERS_PYTHON", "ignite, accelerate and lightning")


def runs_scripts(variable: str, contents: str) -> Callable[..., Any]:
    """Returns a function that runs a script by the interpreter that `variable` names; skips the test if it is unset."""
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} does not name an interpreter with {contents} (nox -s bench sets it)")

    def run(script: str, *args: str, timeout: float = 300) -> Any:
        done = subprocess.run(
            [python, "-W", "ignore", "-c", script, *args], capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if ROWS:
        terminalreporter.section("ratios (ours against the peer, in this run)")
        width = max(len(row[0]) for row in ROWS)
        for name, measured, target, detail in ROWS:
            terminalreporter.write_line(f"{name:<{width}}  {measured:>10}  target {target:<10}  {detail}")
