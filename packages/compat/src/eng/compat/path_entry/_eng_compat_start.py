"""Installs the alias at the first ``import mmengine`` of a process that inherited this folder on PYTHONPATH.

An import finder installs it, before a module of that name exists. A placeholder in ``sys.modules`` would not do:
other threads would import the placeholder meanwhile and look for submodules in it.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder

TYPE_CHECKING = False  # a constant here, because importing typing would slow every start of Python
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

ALIAS = "mmengine"
FOLDER = __file__.rpartition("_eng_compat_start")[0].rstrip("\\/")


class FirstImport:
    """Import finder for ``mmengine`` that calls `eng.compat.install` and then loads the module of eng instead."""

    loader: Any

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns a spec for mmengine if eng-compat is installed; otherwise None, so that the real package is imported.

        This method must not import modules. While the method runs, Python holds the import lock of mmengine. If another
        thread were importing one of these modules and waited for the lock of mmengine, both would wait forever.
        """
        if name != ALIAS or FOLDER not in sys.path:
            return None
        if has_eng_compat():
            return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]  # this class has the methods of a loader
        leave_path()
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Calls `eng.compat.install` and returns the module of eng that replaces mmengine.

        Python's import lock ensures that only one thread at a time calls this method.
        """
        from importlib.util import find_spec

        from eng.compat import install

        install()
        alias = find_spec(spec.name)
        assert alias is not None
        self.loader = alias.loader
        module: ModuleType | None = self.loader.create_module(alias)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Completes the import by the loader of eng-compat that `create_module` has found."""
        self.loader.exec_module(module)


_finder = FirstImport()


def install_at_first_import() -> None:
    """Makes the first import of mmengine in this process call `eng.compat.install`, so that eng is imported."""
    import importlib.util  # noqa: F401  # imported while there is one thread, since `find_spec` must not import

    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def has_eng_compat() -> bool:
    """Whether eng-compat is installed for this Python interpreter; finds out without importing eng-compat."""
    from importlib.util import find_spec

    namespace = find_spec("eng")
    locations = None if namespace is None else namespace.submodule_search_locations
    return locations is not None and PathFinder.find_spec("eng.compat", locations) is not None


def leave_path() -> None:
    """Removes the folder of this module from ``sys.path`` of this process."""
    sys.path[:] = [entry for entry in sys.path if entry != FOLDER]


def run_hidden_sitecustomize() -> None:
    """Runs the next ``sitecustomize`` on ``sys.path``, such as that of a debugger.

    Python runs only the first module of this name at its start, which is the one in this folder.
    """
    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if entry != FOLDER])
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    module = sys.modules["sitecustomize"] = module_from_spec(spec)
    spec.loader.exec_module(module)
