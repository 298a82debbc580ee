"""The module that ``import mmengine`` returns; names of its subpackages are looked up at their first use."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

import eng
from eng.compat._missing import message
from eng.compat._routes import is_moved
from eng.compat.version import __version__, version_info  # noqa: F401  # names of mmengine itself

# MMEngine exports the names of the first five packages at its top level; its manual also uses names of the others.
_ROOMS = ("eng.config", "eng.registry", "eng.fileio", "eng.compat.utils", "eng.logging")
_ROOMS_OF_THE_MANUAL = (
    "eng.hooks", "eng.runner", "eng.model", "eng.optim", "eng.dataset", "eng.evaluator", "eng.structures",
    "eng.visualization", "eng.infer", "eng.dist",
)  # fmt: skip

_OWN_NAMES = ("__version__", "version_info")
# With a `__path__` this module is a package, and `pkgutil` lists the folders of eng as its submodules. These are imported
# by the finder of the alias.
__path__ = list(eng.__path__)
if __spec__ is not None:
    __spec__.submodule_search_locations = __path__


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(name)
    for room in (*_ROOMS, *_ROOMS_OF_THE_MANUAL):
        module = _import(room)
        if module is not None and name in _public(module):
            return getattr(module, name)
    if is_moved(f"mmengine.{name}") or importlib.util.find_spec(f"eng.{name}") is not None:
        return importlib.import_module(f"mmengine.{name}")
    raise AttributeError(message("mmengine", name, __dir__()))


def __dir__() -> list[str]:
    rooms = filter(None, map(_import, _ROOMS))
    return sorted({name for room in rooms for name in _public(room)} | set(_OWN_NAMES))


def _public(room: ModuleType) -> list[str]:
    """Returns the global variable ``__all__`` of a package; its attribute may return MMEngine's names instead."""
    names: list[str] = vars(room)["__all__"]
    return names


def _import(room: str) -> ModuleType | None:
    """Imports a package of eng; returns None if its distribution is not installed."""
    if importlib.util.find_spec(room) is None:
        return None
    return importlib.import_module(room)
