"""Replaces ``mmengine.utils.package_utils``, implemented with `importlib.metadata`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib import metadata
from pathlib import Path


def is_installed(package: str) -> bool:
    """Whether a distribution or a module of this name is installed."""
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return importlib.util.find_spec(package) is not None
    return True


def get_installed_path(package: str) -> str:
    """Returns the folder of an installed package.

    Args:
        package: name of the distribution (``mmcv-lite``) or of the module (``mmcv``).

    Raises:
        ModuleNotFoundError: no package of that name is installed.

    Example:
        >>> get_installed_path("packaging").endswith("packaging")
        True
    """
    module = package2module(package) if _has_distribution(package) else package
    spec = importlib.util.find_spec(module)
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        raise ModuleNotFoundError(f"{package!r} is not installed here: pip install {package}", name=package)
    if spec.submodule_search_locations:
        return str(Path(next(iter(spec.submodule_search_locations))))
    return str(Path(spec.origin or "").parent)


def package2module(package: str) -> str:
    """Returns the import name of a distribution: its first top-level module.

    Raises:
        ValueError: the distribution lists no module.
    """
    distribution = metadata.distribution(package)
    listed = (distribution.read_text("top_level.txt") or "").split()
    if not listed:  # Newer build tools do not write top_level.txt, so the installed files are used.
        files = [file.parts[0] for file in distribution.files or () if len(file.parts) > 1]
        listed = [name for name in files if name.isidentifier() and not name.startswith("_")]
    if not listed:
        raise ValueError(f"cannot tell which module the distribution {package!r} installs")
    return next((name for name in listed if name == package.replace("-", "_")), listed[0])


def _has_distribution(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def call_command(cmd: list[str]) -> None:
    """Runs a command and waits for it.

    Raises:
        subprocess.CalledProcessError: the exit status of the command is not 0.
    """
    subprocess.run(cmd, check=True)  # noqa: S603  # the caller decides which command runs


def install_package(package: str) -> None:
    """Installs a package by pip for this Python interpreter, unless it is already installed."""
    if not is_installed(package):
        call_command([sys.executable, "-m", "pip", "install", package])
