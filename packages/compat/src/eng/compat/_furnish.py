"""Adds attributes and methods that only old code uses to classes of eng, while the alias is installed.

The modules in ``members/`` define them: each maps a class name of eng to a class whose attributes are added. They are
added when the module of eng is imported, by its own name or by that of MMEngine.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Key: a module of eng whose classes get attributes and methods that only old code uses. Value: a module in
# eng.compat.members and, after the colon, its table of these members.
_SOURCES = {
    "eng.fileio.backends.lmdb_backend": "fileio:MEMBERS_OF_LMDB",
    "eng.fileio.backends.memcached_backend": "fileio:MEMBERS_OF_MEMCACHED",
    "eng.fileio.backends.registry_utils": "petrel:MEMBERS",
    "eng.hooks.checkpoint_hook": "hooks:MEMBERS_OF_CHECKPOINT",
    "eng.hooks.early_stopping_hook": "hooks:MEMBERS_OF_EARLY_STOPPING",
    "eng.hooks.logger_hook": "hooks:MEMBERS_OF_LOGGER",
    "eng.hooks.profiler_hook": "hooks:MEMBERS_OF_PROFILER",
    "eng.hooks.runtime_info_hook": "hooks:MEMBERS_OF_RUNTIME_INFO",
    "eng.infer.infer": "inferencer:MEMBERS",
    "eng.model.averaged_model": "averaged_model:MEMBERS",
    "eng.model.base_model.base_model": "base_model:MEMBERS",
    "eng.model.base_module": "base_module:MEMBERS",
    "eng.optim.optimizer.apex_optimizer_wrapper": "wrappers:MEMBERS",
    "eng.optim.optimizer.default_constructor": "optim_constructor:MEMBERS",
    "eng.registry._registry": "registry:MEMBERS",
    "eng.runner.runner": "runner:MEMBERS",
    "eng.visualization.visualizer": "visualizer:MEMBERS",
}
_NEVER_COPIED = {
    "__module__",
    "__dict__",
    "__weakref__",
    "__doc__",
    "__qualname__",
    "__firstlineno__",
    "__annotations__",
}
_NOT_THERE = object()

_added: dict[type[Any], dict[str, Any]] = {}


class FurnishingFinder:
    """Import finder for the modules of eng whose classes get attributes and methods that only old code uses.

    The members are added to the classes after the module has been executed.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec of a module whose classes get additional members, with a loader that adds these members.

        For other modules the result is None, so that Python asks the next import finder.
        """
        if name not in _SOURCES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _FurnishingLoader(spec.loader)
        return spec


class _FurnishingLoader(Loader):
    """Loader that executes a module by its original loader and then adds members to the classes of the module."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self.loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        furnish(module)


_finder = FurnishingFinder()


def start() -> None:
    """Adds the members of old code to classes of eng: at once in imported modules, in other modules at their import."""
    sys.meta_path.insert(0, _finder)
    for name in _SOURCES:
        if name in sys.modules:
            # `import_module` waits if another thread has not finished the import; `sys.modules[name]` would return an
            # incomplete module.
            furnish(importlib.import_module(name))


def stop() -> None:
    """Removes the members of old code from all classes of eng, and restores the attributes that they replaced."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for cls, before in _added.items():
        for name, value in before.items():
            if value is _NOT_THERE:
                delattr(cls, name)
            else:
                setattr(cls, name, value)
    _added.clear()


def furnish(module: ModuleType) -> None:
    """Adds the members of old code to the classes of one module; `stop` restores the attributes that they replace."""
    source, _, table = _SOURCES[module.__name__].partition(":")
    members = importlib.import_module(f"eng.compat.members.{source}")
    for class_name, holder in getattr(members, table).items():
        cls = getattr(module, class_name)
        before = _added.setdefault(cls, {})
        for name, value in vars(holder).items():
            if name not in _NEVER_COPIED and name not in before:
                before[name] = vars(cls).get(name, _NOT_THERE)
                setattr(cls, name, value)
