"""The names of a Python config while it runs, and what its import statements do."""

from __future__ import annotations

import builtins
import io
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ._dict import LEAVES
from ._source import Source
from .errors import ConfigFileError, UndefinedVariableError, UnsafeConfigError
from .lazy import RUNNING_MODULE, LazyAttr, LazyObject

BASE_KEY = "_base_"
READ_BASE = "read_base"
_HOMES = ("eng.config", "mmengine.config", "mmengine", "eng")
# What a config file may import from this package for real; `config.py` puts its classes here.
OWN_CLASSES: dict[str, Any] = {}
_BUILTINS = vars(builtins)
_import_module = builtins.__import__


class BaseFile(Protocol):
    """A base file as the file that imports from it sees it."""

    imported: frozenset[str]

    def names(self) -> list[str]: ...

    def take(self, name: str) -> Any: ...

    def bound(self, name: str, new: str) -> None: ...


class Bases(Protocol):
    """Reads the base files of the file that runs."""

    def inherit(self, value: Any) -> Any:
        """What `_base_` reads as once `value` is assigned to it."""

    def missing(self, key: str) -> Any:
        """The value of a name that the file reads before it is bound; KeyError where there is none."""

    def module(self, name: str, level: int, line: int) -> BaseFile:
        """The file that an import inside ``with read_base():`` names."""


class Namespace(dict[str, Any]):
    """Globals of a Python config: hands on what is assigned to `_base_`, and knows which names imports bound.

    What a file binds itself wins over what it imports from a base file, also where that import comes later, as base
    files are meant to be read first.

    Args:
        source: the file.
        bases: reads its base files.
        trust: whether modules may be imported for real.
        lazy: whether imports of libraries stay lazy; None where the first of them makes the file a lazy one.

    Attributes:
        imported: names that import statements bound, of this file or of a base it imports from.
        given: what base files gave, by name.
    """

    def __init__(self, source: Source, bases: Bases, *, trust: bool, lazy: bool | None) -> None:
        self.source, self.bases = source, bases
        self.imports = Imports(self, trust=trust, lazy=lazy)
        self.imported: set[str] = set()
        self.given: dict[str, Any] = {}
        self._expected: tuple[Any, ...] = ()
        self._giver: tuple[BaseFile, str] | None = None
        # `read_base` needs no import, as in MMEngine, where it is a mark in the syntax tree.
        hooked = {**_BUILTINS, "__import__": self.imports, READ_BASE: self.imports.read_base}
        super().__init__(__name__=RUNNING_MODULE, __file__=source.path, __builtins__=hooked)

    def expect(self, *values: Any, giver: tuple[BaseFile, str] | None = None) -> None:
        """Announces that an import statement binds one of `values` next, taken from a base file where there is one."""
        self._expected, self._giver = values, giver

    def __setitem__(self, key: str, value: Any) -> None:
        expected = self._expected
        if expected:
            self._expected = ()
        if expected and _is_one_of(value, expected):
            self._bind(key, value)
        elif key == BASE_KEY:
            dict.__setitem__(self, key, self.bases.inherit(value))
        else:
            self.imported.discard(key)
            dict.__setitem__(self, key, value)

    def _bind(self, key: str, value: Any) -> None:
        if self._giver is not None:
            base, name = self._giver
            base.bound(name, key)
            self.give(key, value, imported=name in base.imported)
        else:
            self.imported.add(key)
            dict.__setitem__(self, key, value)

    def give(self, key: str, value: Any, *, imported: bool) -> None:
        """Binds a name to what a base file gives, unless the file itself has bound it."""
        if key in self and self[key] is not self.given.get(key):
            return
        self.given[key] = value
        (self.imported.add if imported else self.imported.discard)(key)
        dict.__setitem__(self, key, value)

    def values_of_file(self) -> dict[str, Any]:
        """All names that are the file's own or inherited, without those that Python itself needs."""
        return {name: value for name, value in self.items() if name[:2] != "__" and name != BASE_KEY}

    def settings(self, values: dict[str, Any]) -> dict[str, Any]:
        """Those of `values` that are settings: not imported, no module, no open file, no function or class of the file."""
        imported = self.imported
        return {name: value for name, value in values.items() if name not in imported and not _is_tool(value)}


class AskingNamespace(Namespace):
    """A namespace that asks its bases for what the file reads before it is bound. Slower: it is asked for builtins too."""

    def __missing__(self, key: str) -> Any:
        try:
            return self.bases.missing(key)
        except UndefinedVariableError as error:
            raise UndefinedMarkError(error) from error


class UndefinedMarkError(Exception):
    """Carries an error through the running file; as it is a KeyError, Python would take it for an undefined name."""

    def __init__(self, error: UndefinedVariableError) -> None:
        super().__init__(error)
        self.error = error


def _is_one_of(value: Any, expected: tuple[Any, ...]) -> bool:
    if value is expected[0]:
        return True
    while type(value) is LazyAttr:  # `import a.b as c` binds an attribute of what the statement imported
        value = value.source
    return any(value is item for item in expected)


def _is_tool(value: Any) -> bool:
    cls = type(value)
    if cls in LEAVES:
        return False
    if cls is types.FunctionType or issubclass(cls, type):
        return bool(value.__module__ == RUNNING_MODULE)
    return issubclass(cls, (types.ModuleType, io.IOBase))


class Names:
    """What ``from … import`` takes names from; tells the namespace which value the statement is about to bind.

    A star import has put its names into the namespace before it gets this, so that ``__all__`` is empty.
    """

    __slots__ = ("__base", "__expect", "__get")
    __all__: tuple[str, ...] = ()

    def __init__(self, get: Callable[[str], Any], expect: Callable[..., None], base: BaseFile | None = None) -> None:
        self.__get, self.__expect, self.__base = get, expect, base

    def __getattr__(self, name: str) -> Any:
        value = self.__get(name)
        if self.__base is None:
            self.__expect(value)
        else:
            self.__expect(value, giver=(self.__base, name))
        return value


class Imports:
    """``__import__`` of a Python config: inherits from base files, stays lazy, or imports for real.

    Args:
        namespace: the names of the file.
        trust: whether modules may be imported for real.
        lazy: see `Namespace`; becomes True with the first lazy import.
    """

    def __init__(self, namespace: Namespace, *, trust: bool, lazy: bool | None) -> None:
        self.namespace, self.trust, self.lazy = namespace, trust, lazy
        self._inherits = False

    def __call__(
        self,
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """What Python calls for an import statement."""
        if locals is not self.namespace:  # inside a function or class, which runs as any program does
            return _import_module(name, globals, locals, fromlist or (), level)
        line = sys._getframe(1).f_lineno  # noqa: SLF001  # the documented way to the caller's line
        return self.statement(name, tuple(fromlist or ()), level, line)

    def statement(self, name: str, fromlist: tuple[str, ...], level: int, line: int) -> Any:
        """What an import statement at the top level takes its names from, or the module that it binds.

        Raises:
            ConfigFileError: a config file cannot have this statement; names the line.
            UnsafeConfigError: it would execute code, without trust.
            ImportError: there is no such module or name.
        """
        if self._inherits:
            return self._base(name, fromlist, level, line)
        if level:
            raise self._error("a relative import is only allowed inside `with read_base():`", line)
        if name in _HOMES and fromlist and fromlist != ("*",):
            return Names(lambda wanted: self._own_name(name, wanted, line), self.namespace.expect)
        if self.lazy is False or is_standard(name):
            return self._real(name, fromlist, line)
        self.lazy = True
        return self._lazily(name, fromlist, line)

    @contextmanager
    def read_base(self) -> Iterator[None]:
        """`read_base` as the file gets it: imports inside inherit."""
        self._inherits = True
        try:
            yield
        finally:
            self._inherits = False

    def _error(self, message: str, line: int) -> ConfigFileError:
        return ConfigFileError(message, self.namespace.source.name, line)

    def _base(self, name: str, fromlist: tuple[str, ...], level: int, line: int) -> Names:
        if not fromlist:
            raise self._error("inside `with read_base():` write `from .base import *` (or names), not `import`", line)
        base = self.namespace.bases.module(name, level, line)
        if fromlist == ("*",):
            for wanted in base.names():
                self.namespace.give(wanted, base.take(wanted), imported=wanted in base.imported)
        return Names(base.take, self.namespace.expect, base)

    def _own_name(self, module: str, name: str, line: int) -> Any:
        if name == READ_BASE:
            return self.read_base
        if name in OWN_CLASSES and self.trust:
            return OWN_CLASSES[name]
        if self.lazy is False:
            return getattr(_import_module(module, None, None, (name,), 0), name)
        return self._lazy(module, name, line)

    def _real(self, name: str, fromlist: tuple[str, ...], line: int) -> Any:
        if not self.trust and name != "__future__":
            message = f"the import of {name} is not allowed with trust=False, which reads data only"
            raise UnsafeConfigError(message, self.namespace.source.name, line)
        module = _import_module(name, None, None, fromlist, 0)
        if fromlist == ("*",):
            for wanted, value in _public(module).items():
                self.namespace.expect(value)
                self.namespace[wanted] = value
        if fromlist:
            return Names(lambda wanted: _member(module, wanted), self.namespace.expect)
        self.namespace.expect(module, sys.modules.get(name))
        return module

    def _lazily(self, name: str, fromlist: tuple[str, ...], line: int) -> Any:
        if fromlist == ("*",):
            raise self._error(f"`from {name} import *` cannot stay lazy; name what is imported", line)
        if fromlist:
            location = self._location(line)
            return Names(lambda wanted: LazyObject(name, wanted, location), self.namespace.expect)
        root = name.partition(".")[0]
        known = self.namespace.get(root)
        earlier = known._modules if isinstance(known, LazyObject) else []  # noqa: SLF001  # `modules` may be a name in it
        module = LazyObject([name, *earlier] if earlier or "." in name else name, location=self._location(line))
        self.namespace.expect(module)
        return module

    def _lazy(self, module: str, name: str, line: int) -> LazyObject:
        self.lazy = True
        return LazyObject(module, name, self._location(line))

    def _location(self, line: int) -> str:
        return f"{self.namespace.source.name}:{line}"


def _member(module: Any, name: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise ImportError(f"cannot import name {name!r} from {module.__name__!r}", name=module.__name__) from error


def _public(module: Any) -> Mapping[str, Any]:
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return {name: getattr(module, name) for name in names}


def is_standard(module: str) -> bool:
    """Whether a dotted module belongs to Python's standard library."""
    return module.partition(".")[0] in sys.stdlib_module_names
