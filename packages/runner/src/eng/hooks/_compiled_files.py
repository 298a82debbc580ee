"""Packs the results of torch.compile into one value: torch's cache artifacts and the compiled CPU libraries.

``torch.compiler.save_cache_artifacts`` does not include the shared libraries that were compiled for the CPU.
"""

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
    """Packs cache artifacts and the compiled libraries of this process into a zip archive.

    Args:
        artifacts: the bytes from ``torch.compiler.save_cache_artifacts``.
        since: time (seconds since 1970) at which the process began to compile; libraries that are newer are included.
    """
    folder, file = _cache_folder(), io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_ARTIFACTS, artifacts)
        used = _loaded_libraries()
        for path in sorted(folder.rglob("*.so")):
            with contextlib.suppress(FileNotFoundError):  # Another process may delete its libraries meanwhile.
                if str(path) in used or path.stat().st_mtime >= since:
                    archive.writestr(f"{_LIBRARIES}{path.relative_to(folder).as_posix()}", path.read_bytes())
    return file.getvalue()


def unpack(content: bytes) -> None:
    """Loads the artifacts into torch's cache, and writes missing libraries into the compiler's cache folder.

    Args:
        content: an archive from :func:`pack`. It contains executable code, so the caller must check that this user wrote it.
    """
    folder = _cache_folder()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            target = folder / name.removeprefix(_LIBRARIES)
            if name.startswith(_LIBRARIES) and not target.exists():
                with atomic_write(target, sync=False) as file:
                    file.write(archive.read(name))
                    # The compiler loads the file as a shared library, which must be executable.
                    os.fchmod(file.fileno(), 0o700)
        torch.compiler.load_cache_artifacts(archive.read(_ARTIFACTS))


def _cache_folder() -> Path:
    """Returns the compiler's cache folder: ``TORCHINDUCTOR_CACHE_DIR``, which is set to torch's documented default if needed."""
    default = Path(tempfile.gettempdir(), f"torchinductor_{_user()}")
    # /proc/self/maps, which `_loaded_libraries` reads, has paths without symbolic links.
    return Path(os.environ.setdefault(_FOLDER_VARIABLE, str(default))).resolve()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container the user's number may have no name.
        return f"uid_{os.getuid()}"


def _loaded_libraries() -> set[str]:
    """Returns the paths of the shared libraries that this process has loaded; empty on systems without /proc."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {line[line.index("/") :] for line in lines if line.endswith(".so")}
