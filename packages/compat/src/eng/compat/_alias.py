"""The import alias: a finder in front of all others that answers for ``mmengine`` and everything below it."""

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
    """Finds ``mmengine.x.y`` as the module of eng that stands for it; the module object is the same under both names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for names below mmengine, None for all others (and for those that eng does not have)."""
        if name.partition(".")[0] != ALIAS:
            return None
        real = target_of(name)
        try:
            spec = importlib.util.find_spec(real)
        except ModuleNotFoundError as error:
            # A parent that is a plain module has no children; anything else that is missing is the user's to see.
            if error.name is not None and not real.startswith(error.name):
                raise
            return None
        if spec is None:
            return None
        return ModuleSpec(name, _AliasLoader(name, real), is_package=spec.submodule_search_locations is not None)


class _AliasLoader(Loader):
    """Gives the module of eng itself, and leaves it as it was."""

    def __init__(self, alias: str, real: str) -> None:
        self.alias = alias
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.real)
        self.own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.own_spec  # the import system has just put the alias's there
        _missing.explain(module, self.alias)
        _star_import.limit(module)


_finder = AliasFinder()
_changes = threading.RLock()  # of the alias: several threads may install it at once


def is_installed() -> bool:
    """Whether ``import mmengine`` resolves to eng now."""
    return _finder in sys.meta_path


def install() -> None:
    """Makes ``import mmengine`` and everything below it resolve to eng, whether or not mmengine is installed.

    Calling it again changes nothing. Worker processes of `multiprocessing` (spawn and forkserver too) have the alias as
    well, and so has every Python that is started with this process's environment: the variable PYTHONPATH carries it.

    Raises:
        AlreadyImportedError: the real mmengine was imported before.

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
    """Undoes `install`: the next ``import mmengine`` finds the installed package, if there is one."""
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
    """The alias for a block; one that was installed before stays.

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
    """The scope mmengine is a synonym of eng, where eng-registry is installed."""
    if importlib.util.find_spec("eng.registry") is not None:
        getattr(importlib.import_module("eng.registry"), action)(ALIAS)
