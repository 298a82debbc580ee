"""Collects the identifiers in the source code of libraries; no code can read a config key that no file contains."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from .._nearness import is_slip_of
from .._root import ROOT_REGISTRIES
from .._tree import tree_below

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFINITION = re.compile(r"^\s*(?:async\s+def|def|class)\s", re.MULTILINE)
# Folders of eng that are not searched: they do not read config keys, but contain misspelled keys as examples.
_NO_READERS = ("registry", "config", "cli")
# Packages that are not searched: they are too large, and the signatures of their classes list all arguments anyway.
_NOT_READ = frozenset(
    ("torch", "torchvision", "numpy", "builtins", "transformers", "cv2", "scipy", "sklearn", "__mp_main__")
)


TORCH = frozenset(("torch", "torchvision", "builtins"))


class Words:
    """The identifiers in the source files of some packages.

    The files are read one after another, and no more files are read than a search needs.

    Args:
        packages: names of packages and modules.
    """

    def __init__(self, packages: tuple[str, ...]) -> None:
        self._unread = (file for package in packages for file in _files_of(package))
        self._seen: set[str] = set()

    def without(self, identifiers: Iterable[str]) -> set[str]:
        """Returns those of `identifiers` that no source file contains."""
        missing = set(identifiers) - self._seen
        while missing and (file := next(self._unread, None)) is not None:
            self._seen |= words_of(file)
            missing -= self._seen
        return missing

    def slips_of(self, identifier: str) -> list[str]:
        """Returns the identifiers in the source files that differ from `identifier` by one typing error."""
        self.without({""})  # Searching an identifier that no file contains reads all files.
        letters = set(identifier)
        same_length = (
            candidate for candidate in self._seen if abs(len(candidate) - len(identifier)) <= 1 and len(candidate) > 3
        )
        alike = (candidate for candidate in same_length if len(letters.symmetric_difference(candidate)) <= 2)
        return sorted(candidate for candidate in alike if is_slip_of(identifier, candidate, most=1))


def words_of_libraries(others: Iterable[str] = ()) -> Words:
    """Returns the identifiers in the source of all packages that registered a class, and of the packages `others`."""
    return _words_of_packages(_packages_of_libraries(others))


def files_of_libraries(others: Iterable[str] = ()) -> Iterator[Path]:
    """Yields the source files of all packages that registered a class or function, and of the packages `others`."""
    return (file for package in _packages_of_libraries(others) for file in _files_of(package))


def _packages_of_libraries(others: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of all packages that registered a class, and `others`, without those that are not searched."""
    modules = (module for root in ROOT_REGISTRIES for node in tree_below(root) for module in node.module_dict.values())
    names = {str(getattr(module, "__module__", "")).partition(".")[0] for module in modules}
    names.update(others)
    return tuple(sorted(names - _NOT_READ - set(sys.stdlib_module_names) - {""}))


@lru_cache(maxsize=16)
def _words_of_packages(packages: tuple[str, ...]) -> Words:
    return Words(packages)


@lru_cache(maxsize=1 << 14)
def words_of(file: Path) -> frozenset[str]:
    """Returns the identifiers in the code, strings and comments of a source file; empty if it cannot be read.

    The result is also empty for a file without classes and functions, because that may be the config under check,
    whose misspelled keys must not count as known.
    """
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    if _DEFINITION.search(text):
        return frozenset(_WORD.findall(text))
    return frozenset()


def file_of(module: str) -> Path | None:
    """Returns the source file of an imported module; None if the module has no source file or is not imported."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if isinstance(file, str) and file.endswith(".py"):
        return Path(file)
    return None


def files_of(builders: Iterable[Callable[..., Any]]) -> list[Path]:
    """Returns the source files of classes, their base classes and functions, without the files of torch."""
    return [file for file in files_or_none_of(builders) if file is not None]


def files_or_none_of(builders: Iterable[Callable[..., Any]]) -> Iterator[Path | None]:
    """Yields the source files of classes, their base classes and functions; None for a module without a file.

    The files of torch are left out.
    """
    modules = {owner.__module__ for owner in owners_of(builders)}
    return (file_of(module) for module in sorted(modules) if module.partition(".")[0] not in TORCH)


def owners_of(builders: Iterable[Callable[..., Any]]) -> Iterator[Any]:
    """Yields the functions and classes in `builders`, and the base classes of these classes."""
    return (owner for builder in builders for owner in getattr(builder, "__mro__", (builder,)))


@lru_cache(maxsize=64)
def _files_of(package: str) -> tuple[Path, ...]:
    """Returns the source files of a package or module, those of imported modules first."""
    loaded = (file_of(name) for name in list(sys.modules) if name == package or name.startswith(f"{package}."))
    ordered = dict.fromkeys(file for file in loaded if file is not None and package != "eng" and not _is_test(file))
    if package == "__main__":
        spec = None
    else:
        spec = PathFinder.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        # Folders such as `.mim` in OpenMMLab packages are left out: their configs and scripts are not library code.
        inside = (file for file in sorted(Path(folder).rglob("*.py")) if not _is_hidden(file, Path(folder)))
        ordered.update(dict.fromkeys(inside))
    return tuple(ordered)


def _is_hidden(file: Path, folder: Path) -> bool:
    """Whether a file in `folder` is not searched: a test, a config, a hidden file, or eng's code that reads no keys."""
    parts = file.relative_to(folder).parts
    is_ours = folder.name == "eng" and parts[0] in _NO_READERS
    return is_ours or _is_test(file) or any(part.startswith(".") or part == "configs" for part in parts)


def _is_test(file: Path) -> bool:
    """Whether a file contains tests, which are not searched because they misspell names on purpose."""
    return file.name.startswith("test_") or file.name == "conftest.py"
