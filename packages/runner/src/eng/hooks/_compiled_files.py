"""What torch.compile made, as one value: its artifacts, and the libraries of the CPU, which torch leaves out of them."""

from __future__ import annotations

import contextlib
import getpass
import io
import os
import tempfile
import zipfile
from pathlib import Path

import torch

from eng.fileio import atomic_write

__all__ = ["pack", "unpack"]

_ARTIFACTS = "artifacts"
_LIBRARIES = "libraries/"
_FOLDER_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def pack(artifacts: bytes, since: float) -> bytes:
    """The artifacts with the compiled libraries that this process uses.

    Args:
        artifacts: of ``torch.compiler.save_cache_artifacts``.
        since: time at which the process began to compile; libraries that are newer are taken.
    """
    folder, file = _cache_folder(), io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_ARTIFACTS, artifacts)
        used = _loaded_libraries()
        for path in sorted(folder.rglob("*.so")):
            with contextlib.suppress(FileNotFoundError):  # another process may clear its part of the folder
                if str(path) in used or path.stat().st_mtime >= since:
                    archive.writestr(f"{_LIBRARIES}{path.relative_to(folder).as_posix()}", path.read_bytes())
    return file.getvalue()


def unpack(content: bytes) -> None:
    """Loads the artifacts, and puts libraries that are missing where the compiler looks for them.

    Args:
        content: of :func:`pack`. It is code: only content of this user may come here.
    """
    folder = _cache_folder()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            target = folder / name.removeprefix(_LIBRARIES)
            if name.startswith(_LIBRARIES) and not target.exists():
                with atomic_write(target, sync=False) as file:
                    file.write(archive.read(name))
                    os.fchmod(file.fileno(), 0o700)  # it is code that is loaded
        torch.compiler.load_cache_artifacts(archive.read(_ARTIFACTS))


def _cache_folder() -> Path:
    """Where the compiler keeps its files; the folder that torch documents as its default where no variable names one."""
    default = Path(tempfile.gettempdir(), f"torchinductor_{_user()}")
    return Path(os.environ.setdefault(_FOLDER_VARIABLE, str(default))).resolve()  # as the system names loaded libraries


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers may have no entry for the user's number
        return f"uid_{os.getuid()}"


def _loaded_libraries() -> set[str]:
    """Paths of the libraries that this process has loaded; empty where the system does not tell."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {line[line.index("/") :] for line in lines if line.endswith(".so")}
