"""The command `eng`, whose subcommands come from the installed packages."""

from ._main import main
from ._services import Services
from ._version import __version__

__all__ = ["main", "Services", "__version__"]
