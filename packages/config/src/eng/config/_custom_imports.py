"""Imports the modules that the key ``custom_imports`` of a config names, so that their classes are registered."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from typing import Any

from .errors import CustomImportError

# Users set log levels by the name of the public module `eng.config.config`, so this private module logs under it.
logger = logging.getLogger("eng.config.config")


def make_importable(*folders: Path) -> None:
    """Appends folders to the end of ``sys.path``; installed packages win over modules of the same name in them."""
    sys.path.extend(str(folder) for folder in dict.fromkeys(folders) if str(folder) not in sys.path)


def import_custom(settings: Any) -> None:
    """Imports the modules that the config key ``custom_imports`` names, usually so that they register their classes.

    Raises:
        TypeError: the settings are not ``dict(imports=[…])``.
        CustomImportError: a module cannot be imported, and ``allow_failed_imports`` is off.
    """
    if not isinstance(settings, dict):
        raise TypeError(f"custom_imports must be dict(imports=[…], allow_failed_imports=False), got {settings!r}")
    names = settings.get("imports") or []
    for name in [names] if isinstance(names, str) else names:
        if not isinstance(name, str):
            raise TypeError(f"custom_imports.imports must be module names, got {name!r}")
        try:
            importlib.import_module(name)
        except ImportError as error:
            if not settings.get("allow_failed_imports", False):
                raise CustomImportError(_failure(name, error)) from error
            logger.warning("custom import %s failed and is skipped: %s", name, error)


def _failure(name: str, error: ImportError) -> str:
    message = f"Failed to import custom module {name!r} ({error})"
    missing = error.name or ""
    if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{missing}."):
        return f"{message}; put its folder on PYTHONPATH. sys.path is {', '.join(sys.path)}"
    return f"{message}; it is there, and one of its own imports fails"
