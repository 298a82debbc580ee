"""The global names of a Python config while it runs, and the handling of its import statements."""

from __future__ import annotations

import builtins
import inspect
import io
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

from ._dict import LEAVES
from ._source import Source
from .errors import ConfigFileError, UndefinedVariableError, UnsafeConfigError
from .lazy import RUNNING_MODULE, LazyAttr, LazyObject

BASE_KEY = "_base_"
READ_BASE = "read_base"
_HOMES = ("eng.config", "mmengine.config", "mmengine", "eng")
# Classes of eng.config, by name, that a config file imports really even if it imports all libraries lazily.
# `config.py` fills the dict, because an import of `config.py` here would be circular.
OWN_CLASSES: dict[str, Any] = {}
_BUILTINS = vars(builtins)
_import_module = builtins.__import__


class BaseFile(Protocol):
    """A base config that the running config imports names from."""

    imported: frozenset[str]

    def names(self) -> list[str]: ...

    def take(self, name: str) -> Any: ...

    def bound(self, name: str, new: str) -> None: ...


class Bases(Protocol):
    """Loads the base configs of a config while that config runs."""

    def inherit(self, value: Any) -> Any:
        """Loads the base configs that an assignment to `_base_` names; returns the value that `_base_` then has."""

    def missing(self, key: str) -> Any:
        """Returns the value of a name that the config file reads but has not assigned; raises KeyError if unknown."""

    def module(self, name: str, level: int, line: int) -> BaseFile:
        """Loads the base config that an import inside ``with read_base():`` names."""


class Namespace(dict[str, Any]):
    """The global names of a running Python config.

    An assignment to `_base_` loads the base configs at once. Names that import statements bind are recorded, because
    they do not become settings of the config. If the file assigns a name and also imports it from a base config, the
    assigned value is kept even if the import comes later, because a config overrides its base configs.

    Args:
        source: the config file.
        bases: loads the base configs of the file.
        trust: whether modules may really be imported; if False, such an import raises UnsafeConfigError.
        lazy: whether imports of libraries are replaced by lazy stand-ins; None becomes True at the first such import.

    Attributes:
        imported: names that import statements bound in this file, or in the base config that a name comes from.
        given: values imported from base configs, by name.
    """

    def __init__(self, source: Source, bases: Bases, *, trust: bool, lazy: bool | None) -> None:
        self.source, self.bases = source, bases
        self.imports = Imports(self, trust=trust, lazy=lazy)
        self.imported: set[str] = set()
        self.given: dict[str, Any] = {}
        self._expected: tuple[Any, ...] = ()
        self._giver: tuple[BaseFile, str] | None = None
        # MMEngine finds `with read_base():` in the syntax tree, so MMEngine configs may use `read_base` without
        # importing it. Here it is a builtin name of the config file.
        hooked = {**_BUILTINS, "__import__": self.imports, READ_BASE: self.imports.read_base}
        super().__init__(__name__=RUNNING_MODULE, __file__=source.path, __builtins__=hooked)

    def expect(self, *values: Any, giver: tuple[BaseFile, str] | None = None) -> None:
        """Announces that the next assignment of one of `values` to a name comes from an import statement.

        Python assigns imported names by `__setitem__`, as it does for other assignments; this call tells them apart.

        Args:
            *values: objects that the import statement may bind.
            giver: for an import from a base config, the pair of that config and the name inside that config.
        """
        self._expected, self._giver = values, giver

    def __setitem__(self, key: str, value: Any) -> None:
        """Binds a global name of the config file; Python calls this for assignments and for import statements.

        A value that was announced by `expect` comes from an import statement. An assignment to `_base_` loads the base
        configs. Any other assignment makes the name a setting.
        """
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
        """Binds a name for an import statement.

        A name that is imported from a base config is a setting if it is one there; a name from a library is not.
        """
        if self._giver is not None:
            base, name = self._giver
            base.bound(name, key)
            self.give(key, value, imported=name in base.imported)
        else:
            self.imported.add(key)
            dict.__setitem__(self, key, value)

    def give(self, key: str, value: Any, *, imported: bool) -> None:
        """Binds a name to the value imported from a base config, unless this file has assigned the name itself."""
        if key in self and self[key] is not self.given.get(key):
            return
        self.given[key] = value
        (self.imported.add if imported else self.imported.discard)(key)
        dict.__setitem__(self, key, value)

    def values_of_file(self) -> dict[str, Any]:
        """Returns all global names of the file, assigned or imported, without `_base_` and names such as `__file__`."""
        return {name: value for name, value in self.items() if name[:2] != "__" and name != BASE_KEY}

    def settings(self, values: dict[str, Any]) -> dict[str, Any]:
        """Returns those of `values`, the global names of a config file, that are settings of the config.

        Imported names, modules, open files, and functions and classes defined in the config file are not settings.
        """
        imported = self.imported
        return {name: value for name, value in values.items() if name not in imported and not _is_tool(value)}


class AskingNamespace(Namespace):
    """The global names of a config file that reads values of its base configs by ``_base_`` or ``{{_base_.key}}``.

    Names that the file has not assigned are looked up in the base configs. Other files use `Namespace`, because Python
    calls `__missing__` for each builtin such as `dict` too, which is slow.
    """

    def __missing__(self, key: str) -> Any:
        try:
            return self.bases.missing(key)
        except UndefinedVariableError as error:
            raise UndefinedMarkError(error) from error


class UndefinedMarkError(Exception):
    """Wraps an `UndefinedVariableError` while it passes through the running config file.

    `UndefinedVariableError` is a KeyError. If looking up a global name raises a KeyError, Python replaces it by a
    NameError, and the message would be lost.
    """

    def __init__(self, error: UndefinedVariableError) -> None:
        super().__init__(error)
        self.error = error


def _is_one_of(value: Any, expected: tuple[Any, ...]) -> bool:
    """Whether a value that is being assigned is one of those that `Namespace.expect` announced."""
    if value is expected[0]:
        return True
    # `import a.b as c` binds `c` to the stand-in of attribute `b`, but `expect` announced the stand-in of module `a`.
    # The loop goes back from `b` to `a`.
    while type(value) is LazyAttr:
        value = value.source
    return any(value is item for item in expected)


def _is_tool(value: Any) -> bool:
    """Whether a value is no setting of a config: a module, an open file, or a function or class of the config."""
    cls = type(value)
    if cls in LEAVES:
        return False
    if cls is types.FunctionType or issubclass(cls, type):
        return bool(value.__module__ == RUNNING_MODULE)
    return issubclass(cls, (types.ModuleType, io.IOBase))


class Names:
    """The module-like object that ``from … import a`` reads names from.

    When Python reads a name from this object, the object announces to the namespace of the config file which value the
    import statement is about to bind. ``__all__`` is empty, because eng binds the names of ``import *`` itself.
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
    """Replaces ``__import__`` in a Python config: loads base configs, creates lazy stand-ins, or really imports.

    Args:
        namespace: the global names of the config file.
        trust: whether modules may really be imported; if False, such an import raises UnsafeConfigError.
        lazy: whether imports of libraries are replaced by lazy stand-ins; None becomes True at the first such import.
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
        """Executes an import statement; Python calls it with the arguments of ``__import__``."""
        # An import inside a function or class of the config file is executed as in any Python file.
        if locals is not self.namespace:
            return _import_module(name, globals, locals, fromlist or (), level)
        # The frame is not stored in a local variable: the variable would keep the caller's locals alive until the
        # garbage collector runs.
        line = cast(Any, inspect.currentframe()).f_back.f_lineno
        return self.statement(name, tuple(fromlist or ()), level, line)

    def statement(self, name: str, fromlist: tuple[str, ...], level: int, line: int) -> Any:
        """Executes an import statement at the top level of the config.

        Returns the module that ``import a`` binds, or the object that ``from a import b`` reads its names from.

        Raises:
            ConfigFileError: a config file must not contain this statement; the message names the line.
            UnsafeConfigError: with ``trust=False``, the import would execute code.
            ImportError: there is no such module or name.
        """
        if self._inherits:
            return self._import_base(name, fromlist, level, line)
        if level:
            raise self._error("a relative import is only allowed inside `with read_base():`", line)
        if name in _HOMES and fromlist and fromlist != ("*",):
            return Names(lambda wanted: self._own_name(name, wanted, line), self.namespace.expect)
        if self.lazy is False or is_standard(name):
            return self._import_really(name, fromlist, line)
        self.lazy = True
        return self._import_lazily(name, fromlist, line)

    @contextmanager
    def read_base(self) -> Iterator[None]:
        """Enters the ``with`` block of a config file whose import statements load base configs."""
        self._inherits = True
        try:
            yield
        finally:
            self._inherits = False

    def _error(self, message: str, line: int) -> ConfigFileError:
        return ConfigFileError(message, self.namespace.source.name, line)

    def _import_base(self, name: str, fromlist: tuple[str, ...], level: int, line: int) -> Names:
        """Loads the base config that an import inside ``with read_base():`` names.

        For ``from .base import *``, all names of the base config are bound at once.
        """
        if not fromlist:
            raise self._error("inside `with read_base():` write `from .base import *` (or names), not `import`", line)
        base = self.namespace.bases.module(name, level, line)
        if fromlist == ("*",):
            for wanted in base.names():
                self.namespace.give(wanted, base.take(wanted), imported=wanted in base.imported)
        return Names(base.take, self.namespace.expect, base)

    def _own_name(self, module: str, name: str, line: int) -> Any:
        """Returns the object for a name that the config file imports from eng itself or from MMEngine.

        `read_base` and the classes of eng.config are returned really; other names are lazy unless `lazy` is False.
        """
        if name == READ_BASE:
            return self.read_base
        if name in OWN_CLASSES and self.trust:
            return OWN_CLASSES[name]
        if self.lazy is False:
            return getattr(_import_module(module, None, None, (name,), 0), name)
        return self._lazy(module, name, line)

    def _import_really(self, name: str, fromlist: tuple[str, ...], line: int) -> Any:
        """Imports a module of a library while the config file runs; its names are not settings of the config.

        Raises:
            UnsafeConfigError: with ``trust=False``, for every module except ``__future__``.
        """
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

    def _import_lazily(self, name: str, fromlist: tuple[str, ...], line: int) -> Any:
        """Returns stand-ins for a module of a library or its names; the library is imported only when they are used."""
        if fromlist == ("*",):
            raise self._error(f"`from {name} import *` cannot stay lazy; name what is imported", line)
        if fromlist:
            location = self._location(line)
            return Names(lambda wanted: LazyObject(name, wanted, location), self.namespace.expect)
        root = name.partition(".")[0]
        # `import a.b` and a later `import a.c` both bind the name `a`, so its stand-in must import both modules.
        known = self.namespace.get(root)
        earlier = known._modules if isinstance(known, LazyObject) else []  # noqa: SLF001  # a private attribute of a class in the same package
        modules = [name, *earlier] if earlier or "." in name else name
        module = LazyObject(modules, location=self._location(line))
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
    """Returns the names that ``from module import *`` would bind, with their values."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    return {name: getattr(module, name) for name in names}


def is_standard(module: str) -> bool:
    """Whether a dotted module belongs to Python's standard library."""
    return module.partition(".")[0] in sys.stdlib_module_names
