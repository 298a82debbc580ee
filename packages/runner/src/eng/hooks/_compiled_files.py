"""Packs the results of torch.compile into one value: torch's cache artifacts and the compiled CPU libraries.

``torch.compiler.save_cache_artifacts`` does not include the shared libraries that were compiled for the CPU.
"""

from __future__ import annotations

import contextlib
import getpass
import io
import os
import re
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
    """Returns a zip archive of cache artifacts and shared libraries that ``torch.compile`` made in this process.

    Args:
        artifacts: the bytes from ``torch.compiler.save_cache_artifacts``.
        since: time (seconds since 1970) at which the process began to compile. A library in the compiler's cache folder
            is included if it was written later or if the process has loaded it.
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
    """Loads the artifacts of an archive into torch's cache, and its libraries into the compiler's cache folder.

    A library that exists in the folder already is not overwritten.

    Args:
        content: an archive from :func:`pack`. The archive contains executable code, so the caller must check that the
            current user wrote it.
    """
    folder = _cache_folder()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            target = folder / name.removeprefix(_LIBRARIES)
            if name.startswith(_LIBRARIES) and not target.exists():
                with atomic_write(target, sync=False) as file:
                    file.write(archive.read(name))
                    # The compiler loads the file as a shared library, so the file is made executable.
                    os.fchmod(file.fileno(), 0o700)
        torch.compiler.load_cache_artifacts(archive.read(_ARTIFACTS))


def _cache_folder() -> Path:
    """Returns the cache folder of torch's compiler, from the environment variable ``TORCHINDUCTOR_CACHE_DIR``.

    If the variable is not set, the function sets it to torch's documented default.
    """
    default = Path(tempfile.gettempdir(), f"torchinductor_{_user()}")
    # `pack` compares paths in this folder with paths from /proc/self/maps, which contain no symbolic links. So symbolic
    # links are resolved here too.
    return Path(os.environ.setdefault(_FOLDER_VARIABLE, str(default))).resolve()


def _user() -> str:
    try:
        return re.sub(r'[\\/:*?"<>|]', "_", getpass.getuser())  # torch replaces the same characters
    except (KeyError, OSError):
        # In a container the user id may have no user name, so the id itself names the folder.
        return f"uid_{os.getuid()}"


def _loaded_libraries() -> set[str]:
    """Returns the paths of the shared libraries that this process has loaded; empty on systems without /proc."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {line[line.index("/") :] for line in lines if line.endswith(".so")}
