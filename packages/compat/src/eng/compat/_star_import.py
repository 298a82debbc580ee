"""Which names ``from mmengine.x import *`` brings: those of MMEngine 0.10.7, not all of eng's.

A module is one object under both of its names. While the alias is installed, the attribute ``__all__`` of a module that
was imported by MMEngine's name is MMEngine's; the module's own global ``__all__`` stays.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from types import ModuleType


class _ModuleOfMMEngine(ModuleType):
    """A module whose ``__all__`` is that of the reference."""

    @property
    def __all__(self) -> list[str]:
        names = _names()[self.__name__]
        return [name for name in names if hasattr(self, name)]  # a package of eng may not be installed


@functools.cache
def _names() -> dict[str, list[str]]:
    """Module of eng -> ``__all__`` of the reference's module."""
    text = resources.files("eng.compat").joinpath("star_names.json").read_text(encoding="utf-8")
    names: dict[str, list[str]] = json.loads(text)
    return names


def limit(module: ModuleType) -> None:
    """Gives the module the reference's ``__all__``, where the reference's module has one."""
    if type(module) is ModuleType and module.__name__ in _names():
        module.__class__ = _ModuleOfMMEngine


def restore(module: ModuleType) -> None:
    """Gives the module its own ``__all__`` back."""
    if issubclass(type(module), _ModuleOfMMEngine):
        module.__class__ = ModuleType
