"""Members that only old code reads or assigns are added to eng's classes while the alias is installed.

``members/`` holds them: a module there names, per class of one module of eng, a class whose attributes are added.
They are added when that module is imported, under whichever of its two names.
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

# Module of eng -> module and table below eng.compat.members with the classes that are added to its own.
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
    """Finds the modules of eng whose classes get members, and adds these after the module has run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec with a loader that adds the members; None for all other modules."""
        if name not in _SOURCES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _FurnishingLoader(spec.loader)
        return spec


class _FurnishingLoader(Loader):
    """Runs a module by its own loader and adds the members."""

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
    """Adds members to the classes of modules that are loaded, and to those of modules that will be."""
    sys.meta_path.insert(0, _finder)
    for name in _SOURCES:
        if name in sys.modules:
            furnish(importlib.import_module(name))  # waits for a thread that is loading it


def stop() -> None:
    """Takes all members away again."""
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
    """Adds the members to the classes of one module."""
    source, _, table = _SOURCES[module.__name__].partition(":")
    members = importlib.import_module(f"eng.compat.members.{source}")
    for class_name, holder in getattr(members, table).items():
        cls = getattr(module, class_name)
        before = _added.setdefault(cls, {})
        for name, value in vars(holder).items():
            if name not in _NEVER_COPIED and name not in before:
                before[name] = vars(cls).get(name, _NOT_THERE)
                setattr(cls, name, value)
