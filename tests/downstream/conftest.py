"""Fixtures of ``nox -s downstream``: where the unmodified libraries and their configs are, and how scripts run.

Every script runs in a process of its own, under ``python -m eng.compat``, as users of these libraries start theirs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import libraries

libraries.seed()  # in the environment before pytest-xdist starts its workers, so that all draw the same sample
GOLDEN = HERE / "golden"
# Where eng differs from the reference: per kind and library, name and the reason that a user of it accepts.
DIFFERENCES = json.loads((HERE / "differences.json").read_text(encoding="utf-8"))
# What once differed: it is in every quick part.
REGRESSIONS = json.loads((HERE / "regressions.json").read_text(encoding="utf-8"))
INSTALLED = [library for library in libraries.LIBRARIES if library.root is not None]


def pytest_report_header() -> str:
    part = "complete corpus" if libraries.all_of_it() else f"quick part, ENG_DOWNSTREAM_SEED={libraries.seed()}"
    return f"downstream: {part}; {', '.join(library.requirement for library in INSTALLED) or 'no library is installed'}"


@pytest.fixture(params=libraries.LIBRARIES, ids=lambda library: library.package)
def library(request) -> libraries.Library:
    """One library of the corpus after the other; skipped where it is not installed."""
    if request.param not in INSTALLED:
        pytest.skip(f"nox -s downstream installs {request.param.requirement}")
    return request.param


@pytest.fixture(scope="session")
def library_roots() -> dict[str, Path]:
    """Folder of each installed library, by import name."""
    return {library.package: library.root for library in INSTALLED}


@pytest.fixture(scope="session")
def config_files() -> Callable[[str], list[Path]]:
    """All config files of a library, by import name, base files included."""
    return lambda package: libraries.BY_PACKAGE[package].config_files()


def golden(*parts: str) -> Any:
    """A file of golden/, which make_goldens.py writes with the reference."""
    return json.loads(GOLDEN.joinpath(*parts).read_text(encoding="utf-8"))


def overlay_env(library: libraries.Library) -> dict[str, str]:
    """Environment of a library whose older requirements stand in a folder of their own.

    ENG_DOWNSTREAM_OVERLAYS names the folder above them; ``nox -s downstream`` fills it.
    """
    if not library.overlay:
        return {}
    folder = Path(os.environ.get("ENG_DOWNSTREAM_OVERLAYS", "")) / library.package
    if not folder.is_dir():
        pytest.skip(
            f"{library.package} needs {', '.join(library.overlay)} in ENG_DOWNSTREAM_OVERLAYS/{library.package}"
        )
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


def run_script(script: str, *args: str, timeout: float = 170, env: dict[str, str] | None = None) -> str:
    """Runs a script of this folder under the alias; returns its standard output."""
    call = [sys.executable, "-W", "ignore", "-m", "eng.compat", str(HERE / script), *args]
    # Some configs hold the members of a set in their order.
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", **(env or {})}
    done = subprocess.run(call, capture_output=True, text=True, env=environ, timeout=timeout, check=False)
    assert done.returncode == 0, f"{' '.join(call)}\n{done.stdout[-1000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def last_json(output: str) -> dict:
    """The JSON object at the end of an output, which a progress bar may precede on the same line."""
    line = output.strip().splitlines()[-1]
    return json.loads(line[line.index("{") :])
