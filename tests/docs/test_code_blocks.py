"""Every code block of the READMEs and of docs/ runs.

Python blocks of a page run in order in one process; `eng` lines of shell blocks run one by one. Lines that install
things or start nox are what CI itself does, and are skipped here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/README.md")]
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a block may start with that this test does not run, and why.
ELSEWHERE = {
    "pip": "installing is what nox -s build proves",
    "python -m pip": "installing is what nox -s build proves",
    "python -m nox": "CI runs the sessions",
    "python -m venv": "installing is what nox -s build proves",
    "torchrun": "tests/distributed starts it on free ports",
    "srun": "needs a Slurm cluster",
    "sbatch": "needs a Slurm cluster",
    "kubectl": "needs a Kubernetes cluster",
    "mpirun": "tests/distributed starts it",
    "ray": "needs a Ray cluster",
    "apt-get": "installing is what .ci/run does",
}
SHELL = ("bash", "shell", "sh", "console")


def blocks(page: Path, *languages: str) -> list[str]:
    return [body for language, body in BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


def commands(page: Path) -> list[str]:
    joined = "\n".join(blocks(page, *SHELL)).replace("\\\n", " ")
    lines = (line.removeprefix("$ ").split("  #")[0].strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a checkout to the blocks, so that what they write lands aside."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    scripts = sysconfig.get_path("scripts")
    return {
        **os.environ,
        "PATH": scripts + os.pathsep + os.environ["PATH"],
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_python_blocks_run(page: Path, checkout: Path) -> None:
    # A file of its own for each block, so that multiprocessing and inspect find their sources.
    script = checkout / "page.py"
    script.write_text("\n".join(blocks(page, "python")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=checkout,
        env=environment(checkout),
        check=False,
    )
    assert done.returncode == 0, f"{page.name}: {done.stderr[-3000:]}"


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda p: str(p.relative_to(ROOT)))
def test_shell_lines_run(page: Path, checkout: Path) -> None:
    for line in commands(page):
        if any(line.startswith(start) for start in ELSEWHERE):
            continue
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, cwd=checkout, env=environment(checkout), check=False
        )
        assert done.returncode == 0, f"{page.name}: {line}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
