"""Installs the alias at the first ``import mmengine`` of a process that inherited this folder on PYTHONPATH.

A finder does it, before there is a module of that name: a stand-in in ``sys.modules`` would be what other threads
import meanwhile, and what they look for submodules in.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder

TYPE_CHECKING = False  # of typing, which is not imported at every start
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

ALIAS = "mmengine"
FOLDER = __file__.rpartition("_eng_compat_start")[0].rstrip("\\/")


class FirstImport:
    """Finds ``mmengine`` while the folder is on the path, and loads it as the alias does."""

    loader: Any

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for mmengine where eng is installed; else the finders behind this one find the installed package.

        Python holds the lock of all imports here. To import a module here could deadlock: another thread may be inside
        that module's import and wait for this lock.
        """
        if name != ALIAS or FOLDER not in sys.path:
            return None
        if has_eng_compat():
            return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]  # a loader in all but its base class
        leave_path()
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Installs the alias, and gives the module that it stands for; only one thread comes here."""
        from importlib.util import find_spec

        from eng.compat import install

        install()
        alias = find_spec(spec.name)
        assert alias is not None
        self.loader = alias.loader
        module: ModuleType | None = self.loader.create_module(alias)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Ends the import as the loader of the alias does."""
        self.loader.exec_module(module)


_finder = FirstImport()


def install_at_first_import() -> None:
    """From now on the first import of mmengine installs the alias."""
    import importlib.util  # noqa: F401  # while the process has one thread: `find_spec` must not import it

    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def has_eng_compat() -> bool:
    """Whether this Python has eng-compat; imports nothing."""
    from importlib.util import find_spec

    namespace = find_spec("eng")
    locations = None if namespace is None else namespace.submodule_search_locations
    return locations is not None and PathFinder.find_spec("eng.compat", locations) is not None


def leave_path() -> None:
    """Takes the folder off the path of this process."""
    sys.path[:] = [entry for entry in sys.path if entry != FOLDER]


def run_hidden_sitecustomize() -> None:
    """Runs the ``sitecustomize`` behind this folder on the path, such as that of a distribution or a debugger."""
    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if entry != FOLDER])
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    module = sys.modules["sitecustomize"] = module_from_spec(spec)
    spec.loader.exec_module(module)
