"""Code blocks of the documentation's pages, and which of them the tests run.

Python blocks of a page run in order in one process; lines of shell blocks run one by one after them. The title of a block
has a meaning: ``title="NAME.py"`` writes the block to that file, ``title="needs LIBRARY"`` runs it, in its position among the
blocks without a title, where the library is installed.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHELL = ("bash", "shell", "sh", "console")
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE_TITLE = re.compile(r'title="([\w./-]+\.\w+)"')
_NEEDS_TITLE = re.compile(r'title="needs ([\w, ]+)"')
# First words of commands that no test of the pages runs, and why.
ELSEWHERE = {
    "pip": "installing is what nox -s build proves",
    "python -m pip": "installing is what nox -s build proves",
    "python -m nox": "CI runs the sessions",
    "python -m venv": "installing is what nox -s build proves",
    "source ": "installing is what nox -s newcomer proves",
    "pre-commit": "a tool that the reader installs; nox -s lint runs its hooks",
}


def pages() -> list[Path]:
    """The READMEs and the pages of docs/ in English."""
    return [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(page for page in sorted(ROOT.glob("docs/**/*.md")) if not page.name.endswith(".zh.md")),
        *sorted(ROOT.glob("packages/*/README.md")),
    ]


def titled_blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Title and body of each block in one of the languages."""
    matches = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(title, body) for language, title, body in matches if language in languages]


def blocks(page: Path, *languages: str) -> list[str]:
    """Body of each block in one of the languages."""
    return [body for _, body in titled_blocks(page, *languages)]


def write_files(page: Path, folder: Path) -> None:
    """Writes the blocks of a page that are files into a folder."""
    for title, body in titled_blocks(page, "python", "yaml"):
        name = _FILE_TITLE.search(title)
        if name is not None:
            (folder / name[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / name[1]).write_text(body, encoding="utf-8")


def needed_libraries(page: Path) -> list[tuple[str, ...]]:
    """What the blocks of a page need: one entry for each set of libraries."""
    titles = [_NEEDS_TITLE.search(title) for title, _ in titled_blocks(page, "python")]
    return sorted({tuple(re.findall(r"\w+", needs[1])) for needs in titles if needs is not None})


def script_of(page: Path, libraries: tuple[str, ...] = ()) -> str:
    """The blocks without a title and those that need exactly `libraries`, in the order of the page."""
    chosen = []
    for title, body in titled_blocks(page, "python"):
        needs = _NEEDS_TITLE.search(title)
        if "title=" not in title or (needs is not None and tuple(re.findall(r"\w+", needs[1])) == libraries):
            chosen.append(body)
    return "\n".join(chosen)


def commands(script: str) -> list[str]:
    """Each command of a shell block, without its prompt and its comment."""
    lines = (line.removeprefix("$ ").split("  #")[0].strip() for line in script.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def tested_commands(script: str) -> list[str]:
    """Commands of a shell block that the tests of the pages run."""
    return [line for line in commands(script) if not line.startswith(tuple(ELSEWHERE))]


def run_page(page: Path, folder: Path, scripts: str, libraries: tuple[str, ...] = ()) -> int:
    """Runs a page in a folder: writes its files, then runs its Python blocks, then the commands of its shell blocks.

    Args:
        page: the page to run.
        folder: the folder to run in.
        scripts: the folder of the environment that holds ``python`` and ``eng``.
        libraries: if given, only the blocks that need these libraries run, and no shell blocks.

    Returns:
        The number of shell commands that ran.

    Raises:
        AssertionError: a command failed.
    """
    env = environment(scripts, folder)
    write_files(page, folder)
    if body := script_of(page, libraries):
        # The blocks run from a file, because multiprocessing and inspect need the file of the source code.
        script = folder / "page.py"
        script.write_text(body, encoding="utf-8")
        run(page, ["python", str(script)], folder, env)
    lines = [] if libraries else shell_commands(page)
    for line in lines:
        run(page, ["bash", "-c", line], folder, env)
    return len(lines)


def shell_commands(page: Path) -> list[str]:
    """Commands of a page's shell blocks that the tests run."""
    return [line for script in blocks(page, *SHELL) for line in tested_commands(script)]


def run(page: Path, call: list[str], folder: Path, env: dict[str, str]) -> None:
    """Runs a command of a page in a folder.

    Raises:
        AssertionError: the command failed; the message ends with what it printed.
    """
    done = subprocess.run(call, capture_output=True, text=True, cwd=folder, env=env, check=False)
    # Two configs of an example differ: `eng config diff` says so by its status.
    expected = (0, 1) if "eng config diff" in call[-1] else (0,)
    if done.returncode not in expected:
        raise AssertionError(f"{page.name}: {call[-1]}: {done.stdout[-1500:]}{done.stderr[-3000:]}")


def environment(scripts: str, folder: Path) -> dict[str, str]:
    """Variables for a command: programs of `scripts` first, and a folder as home."""
    path = scripts + os.pathsep + os.environ["PATH"]
    return {**os.environ, "PATH": path, "HOME": str(folder), "OMP_NUM_THREADS": "1"}
