"""Imports the client library of a storage backend at its first use."""

from __future__ import annotations

import importlib
from typing import Any

from eng.fileio.errors import MissingClientError

__all__ = ["client_module"]


def client_module(module: str, needed_by: str, install: str) -> Any:
    """Imports and returns the client library of a storage backend.

    Args:
        module: name of the module to import.
        needed_by: name of the backend, for the message.
        install: command that installs the library, for the message.

    Raises:
        MissingClientError: the library is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise MissingClientError(f"{needed_by} needs {error.name}, which is not installed: {install}") from error
