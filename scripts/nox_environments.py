"""Interpreters, packages and what they need, for the sessions of noxfile.py."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "packages"
NAMES = ("config", "registry", "fileio", "structures", "dist", "analysis", "runner", "tune", "compat", "eng")
TORCH_FREE = ("config", "registry", "fileio", "eng")
TORCH_PYTHON = "3.11"


# --- interpreters ------------------------------------------------------------------------------------------------


def find_python(version: str) -> str | None:
    """A working interpreter of this version: the running one, on PATH, or among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    running = sys.executable if version == f"{sys.version_info[0]}.{sys.version_info[1]}" else None
    candidates = [running, shutil.which(f"python{version}"), *sorted(pyenv.glob(f"versions/{version}.*/bin/python"))]
    return next((str(path) for path in candidates if path and _runs(str(path))), None)


def _runs(python: str) -> bool:
    """Whether it starts: pyenv puts a shim on PATH for versions that are not switched on."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def torch_python() -> str:
    return find_python(TORCH_PYTHON) or sys.executable


# --- what to install ---------------------------------------------------------------------------------------------


def project(name: str) -> dict:
    return nox.project.load_toml(PACKAGES / name / "pyproject.toml")


def distribution(name: str) -> str:
    return "eng" if name == "eng" else f"eng-{name}"


def requirements(name: str, extras: tuple[str, ...] = ()) -> list[str]:
    metadata = project(name)["project"]
    optional = metadata.get("optional-dependencies", {})
    return metadata.get("dependencies", []) + [item for extra in extras for item in optional[extra]]


def siblings(name: str, extras: tuple[str, ...] = ()) -> set[str]:
    """The packages of this repository that `name` brings along, itself included."""
    found, waiting = set(), [(name, extras)]
    while waiting:
        current, wanted = waiting.pop()
        found.add(current)
        for requirement in requirements(current, wanted):
            sibling = requirement.split(">")[0].split("[")[0].strip().removeprefix("eng-")
            if sibling in NAMES and sibling not in found:
                waiting.append((sibling, ()))
    return found


def needs_torch(names: set[str]) -> bool:
    return any(item.startswith("torch>") for name in names for item in requirements(name))


def prepare(
    session: nox.Session, editable: list[str], others: list[str], *, torch: bool, show_progress: bool = False
) -> None:
    """Fills the session's environment, anew when what it should hold has changed.

    A reused environment would hide a dependency that is no longer declared.
    """
    stamp = Path(session.virtualenv.location) / "eng-contents.txt"
    metadata = "".join((PACKAGES / name / "pyproject.toml").read_text() for name in NAMES)
    contents = "\n".join([*editable, *others, str(torch), (ROOT / "constraints.txt").read_text(), metadata])
    digest = hashlib.sha256(contents.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    if stamp.exists():
        shutil.rmtree(session.virtualenv.location)
        session.virtualenv.create()
    pinned = ("-c", str(ROOT / "constraints.txt"))
    if torch:  # before anything that depends on it: otherwise pip brings gigabytes of CUDA
        announce_download(session)
        session.install(*pinned, *torch_index(), "torch", silent=not show_progress)
    paths = [part for path in editable for part in ("-e", path)]
    session.install(*pinned, *paths, *others, silent=not show_progress)
    stamp.write_text(digest)


def torch_index() -> tuple[str, ...]:
    """Options of pip for the index of torch's CPU wheels, on a machine without an NVIDIA GPU.

    ENG_TORCH_INDEX holds the address that torch's install page gives for CPU wheels. Without it, pip takes what its own
    settings offer: on Linux that is the build with CUDA, unless a CPU wheel lies on the machine.
    """
    index = os.environ.get("ENG_TORCH_INDEX", "")
    has_gpu = shutil.which("nvidia-smi") is not None
    return ("--index-url", index) if index and not has_gpu else ()


def announce_download(session: nox.Session) -> None:
    """Says what the first use of an environment downloads."""
    torch_size = "200 MB" if torch_index() else "200 MB (CPU wheel) to 3 GB (wheel with CUDA)"
    session.log(f"This environment is made now: torch takes {torch_size}, all other packages about 300 MB.")
    if not torch_index() and shutil.which("nvidia-smi") is None:
        session.log("No GPU here: set ENG_TORCH_INDEX to the index of torch's CPU wheels to spare the CUDA libraries.")


def prepare_everything(session: nox.Session, *others: str, show_progress: bool = False) -> None:
    """All packages with every extra that needs no server, and `others`."""
    editable = [str(PACKAGES / name) for name in NAMES if name != "eng"]
    everything = [*editable, f"{PACKAGES / 'eng'}[all]"]
    prepare(session, everything, list(others), torch=True, show_progress=show_progress)
