"""Plays a newcomer: installs eng from a checkout as docs/start/install.md says, then does docs/start/fifteen-minutes.md.

``nox -s newcomer`` runs this. It knows only the two pages: it copies the tracked files to an empty folder, makes a virtual
environment there, as the page says, and runs each block in order, as a reader would. It prints the time of each step and fails
when a step fails or all of them take more than 15 minutes.

``ENG_TORCH_INDEX`` replaces the address of torch's CPU wheels, for a machine that reaches them elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 15 * 60
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
BLOCK = re.compile(r"^```(python|bash)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str, until: str = "## Where to go") -> list[str]:
    """The blocks of a page in one language, up to a heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(until)[0]
    return [body for name, body in BLOCK.findall(text) if name == language]


def copy_of_checkout(target: Path) -> None:
    """Copies the tracked files, as `git clone` would."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def steps(checkout: Path) -> list[tuple[str, str]]:
    """Name and shell script of each step that the pages ask for."""
    digits = "\n".join(blocks("start/fifteen-minutes.md", "python"))
    (checkout / "digits.py").write_text(digits, encoding="utf-8")
    preparation, *commands = blocks("start/fifteen-minutes.md", "bash")
    installation = blocks("start/install.md", "bash", until="## From wheels")
    index = os.environ.get("ENG_TORCH_INDEX", TORCH_INDEX)
    return [
        *[("install", block.replace(TORCH_INDEX, index)) for block in installation],
        ("install", preparation),
        ("train, resume, predict", "python digits.py"),
        *[("the same as a config", block) for block in commands],
    ]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="newcomer-") as name:
        checkout = Path(name) / "eng"
        copy_of_checkout(checkout)
        environment = checkout / ".venv"  # made by the page; its activation lasts as long as a reader's terminal
        settings = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        settings |= {
            "PATH": f"{environment / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": name,
        }
        times: dict[str, float] = {}
        for step, script in steps(checkout):
            start = time.perf_counter()
            subprocess.run(["bash", "-euc", script], cwd=checkout, env=settings, check=True)
            times[step] = times.get(step, 0.0) + time.perf_counter() - start
    total = sum(times.values())
    rows = [f"| {step} | {seconds:.0f} s |" for step, seconds in [*times.items(), ("all", total)]]
    print(
        f"{date.today()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "| step | time |",
        "| --- | --- |",
        *rows,
        sep="\n",
    )
    sys.exit(1 if total > LIMIT else 0)


if __name__ == "__main__":
    main()
