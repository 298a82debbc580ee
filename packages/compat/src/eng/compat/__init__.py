"""Runs unmodified MMEngine code on eng: after `install()`, ``import mmengine`` imports the modules of eng."""

from eng.compat._alias import alias, install, is_installed, uninstall
from eng.compat._reset import reset_global_state
from eng.compat._version import __version__
from eng.compat.errors import AlreadyImportedError

__all__ = [
    "__version__",
    "AlreadyImportedError",
    "alias",
    "install",
    "is_installed",
    "reset_global_state",
    "uninstall",
]
