"""Imports optional packages, which a part of eng needs and which are not installed with eng."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["optional_module"]


def optional_module(name: str, user: str, package: str | None = None) -> Any:
    """Imports a module of a package that may not be installed.

    Args:
        name: name of the module.
        user: class or feature that needs the module, for the message.
        package: the package's name for pip; None (default) if it is the first part of ``name``.

    Raises:
        ModuleNotFoundError: the package is not installed; the message says how to install it.
    """
    top = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] != top:
            # The package is installed, and one of its own dependencies is missing. The error names this dependency.
            raise
        package = package or top
        raise ModuleNotFoundError(f"{user} needs {package}: pip install '{package}'", name=name) from error
