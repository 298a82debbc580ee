"""Makes ``from mmengine.x import *`` import exactly the names that MMEngine 0.10.7 exports.

A module is the same object under its name in eng and in MMEngine. While the alias is installed, reading ``__all__`` of
a module that was imported by MMEngine's name returns MMEngine's names; the global variable ``__all__`` is not changed.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from types import ModuleType


class _ModuleOfMMEngine(ModuleType):
    """Class of a module object whose attribute ``__all__`` returns the names that MMEngine's module exports."""

    @property
    def __all__(self) -> list[str]:
        names = _names()[self.__name__]
        # The module lacks some of the names if optional packages are not installed; these names are left out.
        return [name for name in names if hasattr(self, name)]


@functools.cache
def _names() -> dict[str, list[str]]:
    """Returns the content of ``__all__`` in MMEngine 0.10.7, by name of the module of eng."""
    text = resources.files("eng.compat").joinpath("star_names.json").read_text(encoding="utf-8")
    names: dict[str, list[str]] = json.loads(text)
    return names


def limit(module: ModuleType) -> None:
    """Makes ``__all__`` of a module return MMEngine's names, if MMEngine's module defines ``__all__``."""
    if type(module) is ModuleType and module.__name__ in _names():
        module.__class__ = _ModuleOfMMEngine


def restore(module: ModuleType) -> None:
    """Undoes `limit`: ``__all__`` of the module returns the names that eng exports again."""
    if issubclass(type(module), _ModuleOfMMEngine):
        module.__class__ = ModuleType
