"""The module that ``import mmengine`` returns; names of its subpackages are looked up at their first use."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

import eng
from eng.compat._missing import message
from eng.compat._routes import is_moved
from eng.compat.version import __version__, version_info  # noqa: F401  # `import mmengine` must offer these names

# Packages whose names `mmengine` exports, as in `from mmengine import Config`. The second list has packages whose names
# only MMEngine's manual imports from `mmengine`.
_PACKAGES = ("eng.config", "eng.registry", "eng.fileio", "eng.compat.utils", "eng.logging")
_PACKAGES_OF_THE_MANUAL = (
    "eng.hooks", "eng.runner", "eng.model", "eng.optim", "eng.dataset", "eng.evaluator", "eng.structures",
    "eng.visualization", "eng.infer", "eng.dist",
)  # fmt: skip

_OWN_NAMES = ("__version__", "version_info")
# The attribute `__path__` makes this module a package, whose submodules are the folders of eng for `pkgutil`. The
# import finder of the alias imports the submodules.
__path__ = list(eng.__path__)
if __spec__ is not None:
    __spec__.submodule_search_locations = __path__


def __getattr__(name: str) -> Any:
    """Returns an attribute of the module ``mmengine`` that this file does not define.

    The name may belong to a subpackage, as in ``from mmengine import Config``, or be that of a submodule.

    Raises:
        AttributeError: eng has no such name; the message suggests similar names.
    """
    if name.startswith("__") and name.endswith("__"):
        raise AttributeError(name)
    for package in (*_PACKAGES, *_PACKAGES_OF_THE_MANUAL):
        module = _import_if_installed(package)
        if module is not None and name in _public(module):
            return getattr(module, name)
    if is_moved(f"mmengine.{name}") or importlib.util.find_spec(f"eng.{name}") is not None:
        return importlib.import_module(f"mmengine.{name}")
    raise AttributeError(message("mmengine", name, __dir__()))


def __dir__() -> list[str]:
    packages = filter(None, map(_import_if_installed, _PACKAGES))
    return sorted({name for package in packages for name in _public(package)} | set(_OWN_NAMES))


def _public(package: ModuleType) -> list[str]:
    """Returns the names that a package of eng exports.

    The global variable ``__all__`` is read, because the attribute ``__all__`` of the module object may return the names
    that MMEngine exports (see `_star_import`).
    """
    names: list[str] = vars(package)["__all__"]
    return names


def _import_if_installed(package: str) -> ModuleType | None:
    """Imports a package of eng; returns None if its distribution is not installed."""
    if importlib.util.find_spec(package) is None:
        return None
    return importlib.import_module(package)
