# ruff: noqa: PTH111, PTH112, PTH113, PTH118, PTH119, PTH120, PTH208  # paths may be URLs
"""Resolves the name of a base config to a path: relative to the child config, in an installed package, or a URL."""

from __future__ import annotations

import importlib.util
import os
import posixpath
import sys
from functools import lru_cache

from ._source import is_url
from .errors import BaseFileNotFoundError, hint

CONFIG_FOLDERS = (os.path.join(".mim", "configs"), "configs", os.path.join("..", "configs"))


def locate(base: str, source_path: str) -> tuple[str, str | None]:
    """Resolves the name of a base config to its path or URL.

    Args:
        base: a path relative to the child config, a URL, or ``'package::path'`` for a config of an installed package.
        source_path: path or URL of the child config.

    Returns:
        The path or URL, and the package of ``'package::path'`` (None for the other forms).

    Raises:
        FileNotFoundError: the package has no such config.
        ModuleNotFoundError: the package is not installed.
    """
    if is_url(base):
        return base, None
    if "::" in base:
        package, _, relative = base.partition("::")
        return package_config(package, relative, wanted_by=source_path), package
    if is_url(source_path):
        return _beside(source_path, base), None
    return os.path.normpath(os.path.join(os.path.dirname(source_path), os.path.expanduser(base))), None


def _beside(url: str, relative: str) -> str:
    """Joins a relative path to the folder of `url`; replaces ``urljoin``, which fails for schemes such as ``s3://``."""
    scheme, _, path = url.partition("://")
    return f"{scheme}://{posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))}"


def package_folder(package: str, wanted_by: str) -> str:
    """Returns the folder of an installed package without importing the package.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    try:
        return _folder(package, tuple(sys.path))
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{wanted_by}: {error}") from None


@lru_cache(maxsize=64)
def _folder(package: str, path: tuple[str, ...]) -> str:
    """Returns the folder of an installed package. It is cached by `path`, because ``sys.path`` may change."""
    spec = None
    if package.isidentifier():
        spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"package {package!r} is not installed, its configs cannot be inherited")
    folders = list(spec.submodule_search_locations or ())
    if folders:
        return folders[0]
    return os.path.dirname(spec.origin or "")


def package_folders(package: str, wanted_by: str) -> list[str]:
    """Returns the folders in which an installed package may keep its configs, such as ``.mim/configs``.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    folder = package_folder(package, wanted_by)
    return [os.path.normpath(os.path.join(folder, name)) for name in CONFIG_FOLDERS]


def package_config(package: str, relative: str, *, wanted_by: str) -> str:
    """Returns the path of a config that an installed package contains, below ``.mim/configs`` or ``configs``.

    Raises:
        FileNotFoundError: the package has no such config; the message lists the searched folders and similar files.
        ModuleNotFoundError: the package is not installed.
    """
    folders = package_folders(package, wanted_by)
    for folder in folders:
        path = os.path.join(folder, *relative.split("/"))
        if os.path.isfile(path):
            return path
    siblings: list[str] = []
    for folder in folders:
        subfolder = os.path.join(folder, os.path.dirname(relative))
        if os.path.isdir(subfolder):
            siblings += os.listdir(subfolder)
    close = hint(os.path.basename(relative), siblings)
    raise BaseFileNotFoundError(
        f"{wanted_by}: package {package!r} ships no config {relative!r} (searched {', '.join(folders)})"
        + (close if "did you mean" in close else "")
    )


def module_path(module: str, level: int, source_path: str) -> str:
    """Returns the path of the config file that ``from module import …`` inside ``with read_base():`` names.

    Args:
        module: dotted name after the leading dots, may be empty.
        level: number of leading dots; 0 for another package.
        source_path: the importing file.

    Raises:
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: the package is not installed.
    """
    parts = []
    if module:
        parts = module.split(".")
    if level:
        folder = os.path.dirname(source_path)
        for _ in range(level - 1):
            folder = os.path.dirname(folder)
        return os.path.join(folder, *parts) + ".py"
    folder = package_folder(parts[0], source_path)
    candidates = [os.path.join(folder, *prefix, *parts[1:]) + ".py" for prefix in ((), (".mim",), ("..",))]
    for path in candidates:
        if os.path.isfile(path):
            return os.path.normpath(path)
    raise BaseFileNotFoundError(f"{source_path}: no config file for {module!r} (searched {', '.join(candidates)})")
