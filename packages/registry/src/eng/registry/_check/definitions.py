"""Searches the source code of libraries for a type that no registry knows.

A library may register a type only when it is used, so a type that occurs in its code is not reported as unknown.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from .._registry import Registry
from .words import file_of, files_of, files_of_libraries, owners_of, words_of

_PROSE = re.compile(r"\"{3}.*?\"{3}|'{3}.*?'{3}|#[^\n]*", re.DOTALL)
_DEFINITION = re.compile(r"^[ \t]*(?:async\s+def|def|class)\s+(\w+)", re.MULTILINE)
_DECORATED = re.compile(r"^[ \t]*@[^\n]*register[^@]*?\n[ \t]*(?:@[^\n]*\n[ \t]*)*(?:def|class)\s+(\w+)", re.MULTILINE)
_REGISTRATION = re.compile(r"register(?!_buffer|_parameter|\w*hook)\w*\(([^()]*)\)")
_TEXT = re.compile(r"""['"](?:[\w./]+[./])?(\w+)['"]""")
_KEYWORD = re.compile(r"\b(\w+)=(?=[^=\s])")
_CLASS = re.compile(r"\b[A-Z]\w+")

MISSING = object()


class Unloadable:
    """Stands for a class that a module lists but cannot import on this machine, as when a package is missing."""


@dataclass(frozen=True)
class NamesInSource:
    """The names in the code of one source file, which decide whether the file may know a type that a config names.

    Docstrings and comments are left out, because they mention types of other libraries.

    Attributes:
        defined: names of classes and functions that the file defines.
        registered: names that a decorator or a call in the file registers.
        texts: names that occur as a string.
        keywords: names of arguments in calls and signatures, because ``dict(GAN=...)`` may map a name to a class.
        in_any_case: `texts` in lower case if the code calls ``lower()`` or ``upper()`` and so may compare names
            without regard to case; else empty.
    """

    defined: frozenset[str]
    registered: frozenset[str]
    texts: frozenset[str]
    keywords: frozenset[str]
    in_any_case: frozenset[str]


@lru_cache(maxsize=1 << 12)
def names_in(file: Path) -> NamesInSource:
    """Returns the names in a source file; no names if the file cannot be read."""
    try:
        code = _PROSE.sub("", file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        code = ""
    texts = frozenset(_TEXT.findall(code))
    changes_case = ".upper()" in code or ".lower()" in code
    calls = " ".join(_REGISTRATION.findall(code))
    return NamesInSource(
        defined=frozenset(_DEFINITION.findall(code)),
        registered=frozenset(_DECORATED.findall(code)).union(_TEXT.findall(calls), _CLASS.findall(calls)),
        texts=texts,
        keywords=frozenset(_KEYWORD.findall(code)),
        in_any_case=frozenset(text.lower() for text in texts) if changes_case else frozenset(),
    )


def is_registered_in_source(name: str, packages: Iterable[str], *, in_new_files: bool = False) -> bool:
    """Whether the source code of a library contains a registration of `name`, which need not have run yet.

    Args:
        name: name of a type, without a scope.
        packages: packages to search in addition to the packages that have registered a class or function.
        in_new_files: whether to search only files of modules that are not imported yet.
    """
    files = [file for file in files_of_libraries(packages) if name in words_of(file)]
    if in_new_files:
        imported = {file_of(module) for module in tuple(sys.modules)}
    else:
        imported = set()
    return any(name in names_in(file).registered for file in files if file not in imported)


def is_in_source(name: str, packages: Iterable[str]) -> bool:
    """Whether the source code of a library defines or registers `name`, or contains it as a string or an argument name.

    Searched are the packages that have registered a class or function, and `packages`.
    """
    sources = (names_in(file) for file in files_of_libraries(packages) if name in words_of(file))
    return any(
        name in group for names in sources for group in (names.registered, names.defined, names.texts, names.keywords)
    )


def is_in_code_of(name: str, builders: Iterable[Callable[..., Any]]) -> bool:
    """Whether the source files of classes or functions contain `name` as a string.

    Such code may compare the ``type`` of a config with that string, so `name` may be valid without a registration.
    """
    sources = [names_in(file) for file in files_of(builders)]
    return any(name in names.texts or name.lower() in names.in_any_case for names in sources)


def in_namespaces(name: str, builders: Iterable[Callable[..., Any]]) -> Iterator[Any]:
    """Yields the objects that `name` may stand for in the code of `builders`, the classes that build a config mapping.

    The objects are attributes of modules that the code imports (for example, a wrapper of ``albumentations`` looks up
    ``name`` in that package), and classes registered in the registries that the code or its library defines.
    """
    names = {owner.__module__ for owner in owners_of(builders)}
    names.update(f"{module.partition('.')[0]}.registry" for module in tuple(names))
    for module in (sys.modules.get(module) for module in names):
        for value in tuple(vars(module).values()) if module is not None else ():
            if isinstance(value, ModuleType) and (attribute := attribute_of(value, name)) is not MISSING:
                yield attribute
            elif isinstance(value, Registry) and (entry := _entry_of(value, name)) is not None:
                yield entry


def attribute_of(holder: Any, name: str) -> Any:
    """Returns an attribute of a module or class; `MISSING` if the module or class has no such attribute.

    Returns `Unloadable` if reading the attribute raises another error than AttributeError. A module such as
    ``transformers`` imports its classes when they are read, which fails if a dependency of the class is not installed.
    """
    try:
        return getattr(holder, name)
    except AttributeError:
        return MISSING
    except Exception:  # noqa: BLE001 - whatever a library raises is no fault of the name
        return Unloadable


def _entry_of(registry: Registry, name: str) -> Any:
    """Returns the class or function registered as `name`; None if there is none, or if the look-up raises an error.

    The look-up raises an error if it imports a module that registers classes, and the import fails.
    """
    with suppress(Exception):
        return registry.get(name)
    return None
