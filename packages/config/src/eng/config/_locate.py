# ruff: noqa: PTH111, PTH112, PTH113, PTH118, PTH119, PTH120, PTH208  # paths may be URLs
"""Where a base config lies: beside the file, in an installed package, behind a URL."""

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
    """The path or URL of `base` as `source_path` names it, and the scope of a ``'scope::path'``.

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
    """`relative` to the folder of `url`, for any scheme (urljoin knows only some)."""
    scheme, _, path = url.partition("://")
    return f"{scheme}://{posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))}"


def package_folder(package: str, wanted_by: str) -> str:
    """The folder of an installed package, found without importing it.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    try:
        return _folder(package, tuple(sys.path))
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{wanted_by}: {error}") from None


@lru_cache(maxsize=64)
def _folder(package: str, path: tuple[str, ...]) -> str:
    spec = None
    if package.isidentifier():
        spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"package {package!r} is not installed, its configs cannot be inherited")
    places = list(spec.submodule_search_locations or ())
    if places:
        return places[0]
    return os.path.dirname(spec.origin or "")


def package_folders(package: str, wanted_by: str) -> list[str]:
    """The folders in which the configs of an installed package may lie.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    folder = package_folder(package, wanted_by)
    return [os.path.normpath(os.path.join(folder, name)) for name in CONFIG_FOLDERS]


def package_config(package: str, relative: str, *, wanted_by: str) -> str:
    """Path of a config that an installed package ships, below ``.mim/configs`` or ``configs``.

    Raises:
        FileNotFoundError: no such config; names the folders that were searched and near files.
        ModuleNotFoundError: the package is not installed.
    """
    folders = package_folders(package, wanted_by)
    for folder in folders:
        path = os.path.join(folder, *relative.split("/"))
        if os.path.isfile(path):
            return path
    siblings = [
        name
        for folder in folders
        if os.path.isdir(subfolder := os.path.join(folder, os.path.dirname(relative)))
        for name in os.listdir(subfolder)
    ]
    close = hint(os.path.basename(relative), siblings)
    raise BaseFileNotFoundError(
        f"{wanted_by}: package {package!r} ships no config {relative!r} (searched {', '.join(folders)})"
        + (close if "did you mean" in close else "")
    )


def module_path(module: str, level: int, source_path: str) -> str:
    """Path of the file behind ``from module import …`` inside ``with read_base():``.

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
