"""Interpreters, packages and what they need, for the sessions of noxfile.py."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "packages"
NAMES = ("config", "registry", "fileio", "structures", "dist", "analysis", "runner", "tune", "compat", "eng")
TORCH_FREE = ("config", "registry", "fileio", "eng")
TORCH_PYTHON = "3.11"
# torchvision's Python files without its operators: its wheel has no CPU build.
TORCHVISION_SHIM = ROOT.parent / "shared/tools/torchvision_cpu"


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


def venv_python(folder: Path) -> str:
    """The interpreter of a virtual environment."""
    return str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")


# --- what to install ---------------------------------------------------------------------------------------------


def project(name: str) -> dict:
    return nox.project.load_toml(PACKAGES / name / "pyproject.toml")


def version_file(name: str) -> Path:
    return PACKAGES / name / project(name)["tool"]["hatch"]["version"]["path"]


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
    described = [path for name in NAMES for path in (PACKAGES / name / "pyproject.toml", version_file(name))]
    metadata = "".join(path.read_text(encoding="utf-8") for path in described)
    contents = "\n".join(
        [*editable, *others, str(torch), (ROOT / "constraints.txt").read_text(encoding="utf-8"), metadata]
    )
    digest = hashlib.sha256(contents.encode()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return
    if stamp.exists():
        shutil.rmtree(session.virtualenv.location)
        session.virtualenv.create()
    pinned = ("-c", str(ROOT / "constraints.txt"))
    if torch:  # before anything that depends on it: otherwise pip brings gigabytes of CUDA
        announce_download(session, others, in_detail=show_progress)
        session.install(*pinned, *torch_index(), "torch", silent=not show_progress)
    paths = [part for path in editable for part in ("-e", path)]
    session.install(*pinned, *paths, *others, silent=not show_progress)
    stamp.write_text(digest, encoding="ascii")


def torch_index() -> tuple[str, ...]:
    """Options of pip for the index of torch's CPU wheels, on a machine without an NVIDIA GPU.

    ENG_TORCH_INDEX holds the address that torch's install page gives for CPU wheels. Without it, pip takes what its own
    settings offer: on Linux that is the build with CUDA, unless a CPU wheel lies on the machine.
    """
    index = os.environ.get("ENG_TORCH_INDEX", "")
    has_gpu = shutil.which("nvidia-smi") is not None
    return ("--index-url", index) if index and not has_gpu else ()


def announce_download(session: nox.Session, others: list[str], *, in_detail: bool) -> None:
    """Says what the first use of an environment downloads; `in_detail` asks the index for files and sizes."""
    files = files_to_download(session, others) if in_detail else {}
    if files:
        session.log(
            f"This environment is made now: {summary_of(files)}. What pip has in its cache is not downloaded again."
        )
    else:
        torch_size = "200 MB" if torch_index() else "200 MB (CPU wheel) to 3 GB (wheel with CUDA)"
        session.log(f"This environment is made now: torch takes {torch_size}, all other packages about 300 MB.")
    if not torch_index() and shutil.which("nvidia-smi") is None:
        session.log("No GPU here: set ENG_TORCH_INDEX to the index of torch's CPU wheels to spare the CUDA libraries.")


def outside_requirements() -> list[str]:
    """What all packages and the extras of `prepare_everything` take from the index."""
    wanted = {item for name in NAMES for item in requirements(name, ("all",) if name == "eng" else ())}
    asked, waiting = set(), sorted(wanted)
    while waiting:
        requirement = waiting.pop()
        match = re.fullmatch(r"(eng(?:-(\w+))?)(?:\[([\w,]+)\])?(?:>=.*)?", requirement)
        if match is None:
            asked.add(requirement)
        elif match[3]:
            optional = project(match[2] or "eng")["project"]["optional-dependencies"]
            waiting += [item for extra in match[3].split(",") for item in optional[extra] if item not in wanted]
            wanted |= {item for extra in match[3].split(",") for item in optional[extra]}
    return sorted(asked)


def files_to_download(session: nox.Session, others: list[str]) -> dict[str, int]:
    """Size in bytes of each file that pip would take from the index, by package; empty where it does not tell."""
    session.log("Asking the index what is to be downloaded ...")
    options = ["--dry-run", "--quiet", "-c", str(ROOT / "constraints.txt")]
    if torch_index():
        options += ["--extra-index-url", torch_index()[1]]  # its wheel, "2.13.0+cpu", is newer for pip than "2.13.0"
    try:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "downloads.json"
            wanted = ("torch", *outside_requirements(), *others)
            pip = ("python", "-m", "pip", "install", *options, "--report", str(report))
            session.run(*pip, *wanted, silent=True, success_codes=range(256))
            listed = json.loads(report.read_text(encoding="utf-8"))["install"]
        urls = {item["metadata"]["name"]: item["download_info"]["url"] for item in listed}
        with ThreadPoolExecutor(16) as pool:
            return dict(zip(urls, pool.map(size_of, urls.values()), strict=True))
    except (ValueError, KeyError, OSError):
        return {}


def size_of(url: str) -> int:
    """Bytes behind an address of the index, or in a file of this machine; 0 where nobody tells."""
    request = urllib.request.Request(url, method="HEAD")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return int(answer.headers.get("Content-Length") or 0)


def summary_of(files: dict[str, int]) -> str:
    """How much all files are, and the names of the largest.

    Example:
        >>> summary_of({"torch": 200_000_000, "click": 100_000, "numpy": 20_000_000})
        '3 packages, 220 MB (torch 200 MB, numpy 20 MB, click 0 MB)'
    """
    largest = sorted(files, key=lambda name: -files[name])[:5]
    parts = ", ".join(f"{name} {files[name] / 1e6:.0f} MB" for name in largest)
    return f"{len(files)} packages, {sum(files.values()) / 1e6:.0f} MB ({parts}{', ...' if len(files) > 5 else ''})"


def prepare_everything(session: nox.Session, *others: str, show_progress: bool = False) -> None:
    """All packages with every extra that needs no server, and `others`."""
    editable = [str(PACKAGES / name) for name in NAMES if name != "eng"]
    everything = [*editable, f"{PACKAGES / 'eng'}[all]"]
    prepare(session, everything, list(others), torch=True, show_progress=show_progress)


def copy_to_site_packages(session: nox.Session, folder: Path) -> None:
    """Copies the files of a folder to where the session's environment imports from."""
    site_packages = session.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", silent=True)
    for file in folder.iterdir():
        if file.is_file():
            shutil.copy(file, str(site_packages).strip())


def install_torchvision(session: nox.Session) -> None:
    """Installs torchvision without its operators, from shared/ beside the checkout; removes it where that folder is missing."""
    if not TORCHVISION_SHIM.is_dir():
        session.log("shared/tools/torchvision_cpu is not beside this checkout: tests of torchvision are skipped")
        session.run("python", "-m", "pip", "uninstall", "-y", "torchvision", silent=True)
        return
    session.install("--no-deps", "torchvision==0.28.0")
    copy_to_site_packages(session, TORCHVISION_SHIM)


def reference_python(session: nox.Session) -> str:
    """The interpreter of an environment with MMEngine 0.10.7, which is made beside that of the session."""
    return _python_beside(session, "reference", "mmengine==0.10.7", "setuptools<80")


def peers_python(session: nox.Session) -> str:
    """The interpreter of an environment with Ignite, Accelerate and Lightning, made beside the one of the session."""
    return _python_beside(session, "peers", "pytorch-ignite==0.5.5", "accelerate==1.15.0", "lightning==2.6.6")


def _python_beside(session: nox.Session, name: str, *packages: str) -> str:
    """The interpreter of an environment with torch and `packages`, in a folder `name` beside that of the session."""
    folder = Path(session.virtualenv.location).parent / name
    python = venv_python(folder)
    if not (folder / "ready").exists():
        session.run("python", "-m", "venv", str(folder))
        pip = (python, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"))
        session.run(*pip, "torch", external=True)
        session.run(*pip, *packages, external=True)
        (folder / "ready").touch()
    return python
