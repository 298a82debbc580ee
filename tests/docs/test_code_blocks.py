"""Every code block of the READMEs and of docs/ runs.

Python blocks of a page run in order in one process; lines of shell blocks run one by one after them. Lines that install
things or start nox are what CI itself does, and are skipped here. The title of a block has a meaning: `title="NAME.py"`
writes the block to that file, `title="needs LIBRARY"` runs it, in its place among the blocks without a title, where the
library is installed (nox -s outside and nox -s downstream install them).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EVERY_PAGE = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(page for page in ROOT.glob("docs/**/*.md") if not page.name.endswith(".zh.md")),
    *ROOT.glob("packages/*/README.md"),
]
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE_TITLE = re.compile(r'title="([\w./-]+\.\w+)"')
NEEDS_TITLE = re.compile(r'title="needs ([\w, ]+)"')
# What a block may start with that this test does not run, and why.
ELSEWHERE = {
    "pip": "installing is what nox -s build proves",
    "python -m pip": "installing is what nox -s build proves",
    "python -m nox": "CI runs the sessions",
    "python -m venv": "installing is what nox -s build proves",
    "source ": "installing is what nox -s newcomer proves",
    "torchrun --n": "tests/distributed starts it on free ports",
    "torchrun tools": "a script of the reader's",
    "srun": "needs a Slurm cluster",
    "sbatch": "needs a Slurm cluster",
    "kubectl": "needs a Kubernetes cluster",
    "mpirun": "tests/distributed starts it",
    "ray": "needs a Ray cluster",
    "apt-get": "installing is what .ci/run does",
}
SHELL = ("bash", "shell", "sh", "console")


def titled_blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Title and body of each block in one of the languages."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(title, body) for language, title, body in found if language in languages]


def blocks(page: Path, *languages: str) -> list[str]:
    return [body for _, body in titled_blocks(page, *languages)]


def files(page: Path) -> dict[str, str]:
    """The blocks of a page that are files, by name."""
    titled = [(FILE_TITLE.search(title), body) for title, body in titled_blocks(page, "python", "yaml")]
    return {title[1]: body for title, body in titled if title is not None}


def needed_libraries(page: Path) -> list[tuple[str, ...]]:
    """What the blocks of a page need: one entry for each set of libraries."""
    titles = [NEEDS_TITLE.search(title) for title, _ in titled_blocks(page, "python")]
    return sorted({tuple(re.findall(r"\w+", needs[1])) for needs in titles if needs is not None})


def script_of(page: Path, libraries: tuple[str, ...] = ()) -> str:
    """The blocks without a title and those that need exactly `libraries`, in the order of the page."""
    chosen = []
    for title, body in titled_blocks(page, "python"):
        needs = NEEDS_TITLE.search(title)
        if "title=" not in title or (needs is not None and tuple(re.findall(r"\w+", needs[1])) == libraries):
            chosen.append(body)
    return "\n".join(chosen)


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
    write_files(page, checkout)
    if body := script_of(page):
        run_script(page, body, checkout)
    for line in commands(page):
        if not any(line.startswith(start) for start in ELSEWHERE):
            run(page, ["bash", "-c", line], checkout)


NEEDING_LIBRARIES = [(page, libraries) for page in PAGES for libraries in needed_libraries(page)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("page", "libraries"),
    NEEDING_LIBRARIES,
    ids=[f"{page.stem}-{'-'.join(names)}" for page, names in NEEDING_LIBRARIES],
)
def test_blocks_with_libraries_run(page: Path, libraries: tuple[str, ...], checkout: Path) -> None:
    body = script_of(page, libraries)
    compile(body, page.name, "exec")
    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    write_files(page, checkout)
    run_script(page, body, checkout)


def write_files(page: Path, folder: Path) -> None:
    for name, body in files(page).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body, encoding="utf-8")


def run_script(page: Path, body: str, folder: Path) -> None:
    # A file, so that multiprocessing and inspect find their sources.
    script = folder / "page.py"
    script.write_text(body, encoding="utf-8")
    run(page, [sys.executable, str(script)], folder)


def run(page: Path, call: list[str], folder: Path) -> None:
    done = subprocess.run(call, capture_output=True, text=True, cwd=folder, env=environment(folder), check=False)
    # Two configs of an example differ: `eng config diff` says so by its status.
    expected = (0, 1) if "eng config diff" in call[-1] else (0,)
    assert done.returncode in expected, f"{page.name}: {call[-1]}: {done.stdout[-1500:]}{done.stderr[-3000:]}"
