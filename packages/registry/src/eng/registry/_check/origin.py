"""Guesses where an unregistered name is defined, to tell the user how to import it."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from .._registry import Registry
from .._root import ROOT_REGISTRIES
from .._tree import tree_below

_MOST_FILES = 500
_WELL_KNOWN = ("torch.nn", "torch.optim", "torch.optim.lr_scheduler", "torch.utils.data", "torchvision.transforms")


def origin_of(name: str, registry: Registry, scopes: Iterable[str]) -> str | None:
    """Returns advice on how a config can use a class or function that is not registered.

    Returns None if no class or function with this name is found.

    The class may be in a registry of another kind, in a source file that is not imported, or in an imported library.
    """
    bare = name.rpartition(".")[2]
    return _in_another_registry(bare, registry) or _in_a_source_file(bare, scopes) or _in_a_loaded_library(bare)


def _in_another_registry(name: str, registry: Registry) -> str | None:
    """Returns a message if another kind of registry has the name, such as a metric in a list of hooks; else None."""
    for root in ROOT_REGISTRIES:
        if root is not registry.root and any(name in node.module_dict for node in tree_below(root)):
            return f"{name!r} is a {root.name}, not a {registry.name}"
    return None


def _in_a_source_file(name: str, scopes: Iterable[str]) -> str | None:
    """Returns advice to import the file that defines `name`; None if no such file is found.

    The packages of the scopes and the working directory are searched without importing anything.
    """
    definition = re.compile(rf"^(?:class|def)\s+{re.escape(name)}\b", re.MULTILINE)
    files = itertools.chain(*map(_files_of_package, scopes), _files_here())
    for module, file in itertools.islice(files, _MOST_FILES):
        if module not in sys.modules and definition.search(_text_of(file)):
            return f"{file.name} defines it; import it first: custom_imports = dict(imports=[{module!r}])"
    return None


def _files_of_package(scope: str) -> Iterator[tuple[str, Path]]:
    """Yields module names and source files of the package named like a scope, without importing the package."""
    spec = None
    if scope.isidentifier() and scope not in ("eng", "__main__"):
        spec = PathFinder.find_spec(scope)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for file in sorted(Path(folder).rglob("*.py")):
            yield _module_of(file, Path(folder).parent), file


def _files_here() -> Iterator[tuple[str, Path]]:
    """Yields the module names and source files in the working directory and its direct subfolders."""
    here = Path.cwd()
    for file in itertools.chain(sorted(here.glob("*.py")), sorted(here.glob("*/*.py"))):
        module = _module_of(file, here)
        if all(part.isidentifier() for part in module.split(".")):
            yield module, file


def _module_of(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _in_a_loaded_library(name: str) -> str | None:
    """Returns advice to write a path such as ``torch.nn.ReLU`` if torch or torchvision has the name; else None."""
    for module in _WELL_KNOWN:
        if hasattr(sys.modules.get(module), name):
            return f"write it as {module}.{name}, which needs no registry"
    return None
