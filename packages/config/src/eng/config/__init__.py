"""Config files in Python, JSON or YAML that inherit from base configs and can explain where each value was set."""

from __future__ import annotations

from ._provenance import Explanation, Step
from ._version import __version__
from .config import CommandLineOptions, Config, ConfigDict, DictAction, read_base
from .errors import ConfigFileError

__all__ = [
    "CommandLineOptions",
    "Config",
    "ConfigDict",
    "ConfigFileError",
    "DictAction",
    "Explanation",
    "Step",
    "__version__",
    "read_base",
]
