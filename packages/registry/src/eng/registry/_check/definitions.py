"""What the sources of libraries say of a name that no registry knows: a type may be registered when it is needed."""

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
    """Stands for a class that a module names and cannot load here."""


@dataclass(frozen=True)
class NamesInSource:
    """Names in the code of one file; docstrings and comments, which name types of others, do not count.

    Attributes:
        defined: names of classes and functions.
        registered: names that a decorator or a call registers.
        texts: names that stand in the code as a string.
        keywords: names of arguments in calls and signatures: ``dict(GAN=...)`` may map a type.
        in_any_case: the texts in lower case, where the code changes the case of some text.
    """

    defined: frozenset[str]
    registered: frozenset[str]
    texts: frozenset[str]
    keywords: frozenset[str]
    in_any_case: frozenset[str]


@lru_cache(maxsize=1 << 12)
def names_in(file: Path) -> NamesInSource:
    """The names in a source file; none where the file cannot be read."""
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
    """Whether code of a library registers `name`, which it may do when the name is needed, or with a dependency.

    Args:
        name: a type without its scope.
        packages: of the library's own code, beside those that registered something.
        in_new_files: whether only files of modules that are not imported yet count.
    """
    files = [file for file in files_of_libraries(packages) if name in words_of(file)]
    if in_new_files:
        imported = {file_of(module) for module in tuple(sys.modules)}
    else:
        imported = set()
    return any(name in names_in(file).registered for file in files if file not in imported)


def is_in_source(name: str, packages: Iterable[str]) -> bool:
    """Whether code of a library defines `name`, registers it or holds it as a string or keyword, with which it may choose."""
    sources = (names_in(file) for file in files_of_libraries(packages) if name in words_of(file))
    return any(
        name in group for names in sources for group in (names.registered, names.defined, names.texts, names.keywords)
    )


def is_in_code_of(name: str, builders: Iterable[Callable[..., Any]]) -> bool:
    """Whether the files of `builders` and their bases hold `name` as a string, with which they may choose."""
    sources = [names_in(file) for file in files_of(builders)]
    return any(name in names.texts or name.lower() in names.in_any_case for names in sources)


def in_namespaces(name: str, builders: Iterable[Callable[..., Any]]) -> Iterator[Any]:
    """What the code of `builders` may call `name`: an attribute of a module that it imports, an entry of a registry.

    A wrapper of ``albumentations`` takes the classes of that package, and a library may have registries of other kinds.
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
    """The attribute; `MISSING` without it; `Unloadable` where the holder knows the name and raises another error.

    A lazy module such as ``transformers`` names classes whose dependency is not installed.
    """
    try:
        return getattr(holder, name)
    except AttributeError:
        return MISSING
    except Exception:  # noqa: BLE001 - whatever a library raises is no fault of the name
        return Unloadable


def _entry_of(registry: Registry, name: str) -> Any:
    """What a registry calls `name`; a location of it that cannot be imported is no fault of the name."""
    with suppress(Exception):
        return registry.get(name)
    return None
