"""Packages that a part of eng needs and does not depend on."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["optional_module"]


def optional_module(name: str, user: str, package: str | None = None) -> Any:
    """A module of a package that may not be installed.

    Args:
        name: of the module.
        user: what needs it, for the message.
        package: as pip knows it; None where that is the first part of `name`.

    Raises:
        ModuleNotFoundError: it is not installed; says how to install it.
    """
    top = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] != top:
            raise
        package = package or top
        raise ModuleNotFoundError(f"{user} needs {package}: pip install '{package}'", name=name) from error
