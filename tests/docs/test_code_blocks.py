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
EVERY_PAGE = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(page for page in ROOT.glob("docs/**/*.md") if not page.name.endswith(".zh.md")),
    *ROOT.glob("packages/*/README.md"),
]
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


PAGES = [page for page in EVERY_PAGE if blocks(page, "python") or commands(page)]


TRANSLATED = sorted(ROOT.glob("docs/**/*.zh.md"))


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.name)
def test_translated_page_has_the_blocks_of_its_original(page: Path) -> None:
    original = page.with_name(page.name.replace(".zh.md", ".md"))
    assert blocks(page, "python", *SHELL) == blocks(original, "python", *SHELL)


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


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, checkout: Path) -> None:
    if blocks(page, "python"):
        # A file, so that multiprocessing and inspect find their sources.
        script = checkout / "page.py"
        script.write_text("\n".join(blocks(page, "python")), encoding="utf-8")
        run(page, [sys.executable, str(script)], checkout)
    for line in commands(page):
        if not any(line.startswith(start) for start in ELSEWHERE):
            run(page, ["bash", "-c", line], checkout)


def run(page: Path, call: list[str], folder: Path) -> None:
    done = subprocess.run(call, capture_output=True, text=True, cwd=folder, env=environment(folder), check=False)
    # Two configs of an example differ: `eng config diff` says so by its status.
    expected = (0, 1) if "eng config diff" in call[-1] else (0,)
    assert done.returncode in expected, f"{page.name}: {call[-1]}: {done.stdout[-1500:]}{done.stderr[-3000:]}"
