"""The import alias: an import finder that resolves ``mmengine`` and its submodules to modules of eng."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

from eng.compat import _furnish, _missing, _path_entry, _star_import, _workers
from eng.compat._routes import ALIAS, target_of
from eng.compat.errors import AlreadyImportedError


class AliasFinder:
    """Import finder that resolves ``mmengine.x.y`` to a module of eng; both names refer to the same module object."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns a spec for ``mmengine`` and its submodules; None for other names and for modules that eng lacks."""
        if name.partition(".")[0] != ALIAS:
            return None
        real = target_of(name)
        try:
            spec = importlib.util.find_spec(real)
        except ModuleNotFoundError as error:
            # If the missing module is `real` or one of its parents, eng has no such module: report "not found". Any
            # other missing module is a failed import inside eng, which the user must see.
            if error.name is not None and not real.startswith(error.name):
                raise
            return None
        if spec is None:
            return None
        return ModuleSpec(name, _AliasLoader(name, real), is_package=spec.submodule_search_locations is not None)


class _AliasLoader(Loader):
    """Loader that returns the existing module of eng and does not execute it again."""

    def __init__(self, alias: str, real: str) -> None:
        self.alias = alias
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.real)
        self.own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # Python's import system has set `__spec__` to the spec of the module name of mmengine. The module of eng gets
        # its own spec back.
        module.__spec__ = self.own_spec
        _missing.explain(module, self.alias)
        _star_import.limit(module)


_finder = AliasFinder()
_changes = threading.RLock()  # Held by `install` and `uninstall`, which several threads may call at the same time.


def is_installed() -> bool:
    """Whether ``import mmengine`` currently imports eng."""
    return _finder in sys.meta_path


def install() -> None:
    """Installs the alias: ``import mmengine`` imports eng, whether or not mmengine is installed.

    A second call does nothing. The alias also works in worker processes of `multiprocessing` (with any start method)
    and in every Python process that this process starts: a folder in PYTHONPATH installs the alias there.

    Raises:
        AlreadyImportedError: the real mmengine has already been imported.

    Example:
        >>> install()
        >>> import mmengine
        >>> mmengine.__version__
        '0.10.7'
        >>> uninstall()
    """
    with _changes:
        if is_installed():
            return
        imported = sys.modules.get(ALIAS)
        if imported is not None:
            raise AlreadyImportedError.of(str(getattr(imported, "__file__", "an unknown place")))
        sys.meta_path.insert(0, _finder)
        _furnish.start()
        _workers.install_in_children(install)
        _path_entry.add()
        _tell_registry("add_scope_synonym")


def uninstall() -> None:
    """Removes the import alias of `install`: the next ``import mmengine`` imports the installed mmengine, if any."""
    with _changes:
        if not is_installed():
            return
        sys.meta_path.remove(_finder)
        _furnish.stop()
        _workers.leave_children_alone()
        _path_entry.remove()
        _tell_registry("remove_scope_synonym")
        for name in [name for name in sys.modules if name.partition(".")[0] == ALIAS]:
            module = sys.modules.pop(name)
            _missing.forget(module)
            _star_import.restore(module)


@contextmanager
def alias() -> Iterator[None]:
    """Makes ``import mmengine`` import eng inside a ``with`` block; if it did so before, it still does so afterwards.

    Example:
        >>> with alias():
        ...     from mmengine.utils import is_str
        >>> is_installed()
        False
    """
    before = is_installed()
    install()
    try:
        yield
    finally:
        if not before:
            uninstall()


def _tell_registry(action: str) -> None:
    """Adds or removes ``mmengine`` as a synonym of the registry scope ``eng``, if eng-registry is installed."""
    if importlib.util.find_spec("eng.registry") is not None:
        getattr(importlib.import_module("eng.registry"), action)(ALIAS)
