"""Runs the tests that a library ships in its wheel, in a process of their own; used by the tests and by make_goldens.py.

The wheels of the other libraries, and their sdists, ship no test files.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from libraries import BY_PACKAGE

# Folder of the tests beside the package.
FOLDERS = {"mmseg": "tests"}
# MMSegmentation builds whole backbones at their full size: minutes each.
TIMEOUT = 1500


def run_own_tests(package: str, folder: Path, prefix: Sequence[str] = (), files: Sequence[str] = ()) -> dict[str, str]:
    """Outcome of each test by name: ``passed``, ``failed`` or ``skipped``.

    Args:
        package: the library.
        folder: an empty folder that the tests run in.
        prefix: arguments of Python in front of pytest: ``-m eng.compat`` under eng.
        files: tests to run, relative to the library's folder of tests; all of them by default.
    """
    library = BY_PACKAGE[package]
    # As in a checkout: the tests look for `configs` beside their folder. Other wheels put files into site-packages/tests too.
    for file in importlib.metadata.files(library.name) or ():
        if file.parts[0] == FOLDERS[package] and file.suffix == ".py":
            copy = folder / "tests" / Path(*file.parts[1:])
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), copy)
    (folder / "configs").symlink_to(library.root / library.configs)
    report = folder / "report.xml"
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={folder}", f"--junitxml={report}"]
    paths = [f"tests/{file}" for file in files] or ["tests"]
    command = [sys.executable, "-W", "ignore", *prefix, "-m", "pytest", *options, *paths]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder, timeout=TIMEOUT, check=False)
    if done.returncode not in (0, 1):  # 1: some tests failed
        raise RuntimeError(
            f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        )
    return {f"{case.get('classname')}.{case.get('name')}": outcome(case) for case in ET.parse(report).iter("testcase")}


def outcome(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def main() -> None:
    package, *prefix = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for name, result in run_own_tests(package, Path(folder), prefix).items():
            print(result, name)


if __name__ == "__main__":
    main()
