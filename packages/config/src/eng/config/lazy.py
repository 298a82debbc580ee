"""Lazy stand-ins for modules and objects that a config file imports; the real import happens when one is used."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from .errors import LazyCallError

RUNNING_MODULE = "__config__"
_HOLD: ContextVar[bool] = ContextVar("eng_config_hold_lazy", default=False)


@contextmanager
def hold_lazy() -> Iterator[None]:
    """Delays lazy imports while a config file runs.

    Inside the ``with`` block, reading a lazily imported value of a config returns a stand-in. After the block, reading
    the value imports and returns the real object.
    """
    token = _HOLD.set(True)
    try:
        yield
    finally:
        _HOLD.reset(token)


def is_held() -> bool:
    """Whether a config file is currently running, so that lazy stand-ins are not imported."""
    return _HOLD.get()


class Lazy:
    """Base class of the stand-ins for objects that a config file imports lazily, that is, not while the file runs.

    While a config file runs, any use of the value (``if X``, ``X == 1``, ``f"{X}"``, ``X + 1``, ``isinstance``, …)
    raises `LazyCallError`, because the result for the stand-in would be wrong.
    """

    location: str | None

    @property
    def dotted(self) -> str:
        """The full dotted name of the imported object, such as ``"torch.nn.Conv2d"``."""
        raise NotImplementedError

    def _refuse(self, use: str) -> LazyCallError:
        """Returns the error for a use of the stand-in while the config file runs, before the real object is imported.

        `use` names what the config wants to know, such as ``"its type"``.
        """
        origin = ""
        if self.location:
            origin = f" in {self.location}"
        return LazyCallError(
            f"{self.dotted}, imported{origin}, is not imported while the config file is read, so {use} is not known; "
            "write the value into the file, or read it with Config.fromfile(…, lazy_import=False)"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raises `LazyCallError`: a lazily imported class or function cannot be called while the config is read."""
        raise LazyCallError(
            f"{self.dotted} is imported lazily{self._origin_note()} and cannot be called in the config file; "
            f"write dict(type={self!r}, …) and let a registry build it"
        )

    def _origin_note(self) -> str:
        if self.location:
            return f" (imported in {self.location})"
        return ""

    def __getattr__(self, name: str) -> LazyAttr:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return LazyAttr(name, self, self.__dict__.get("location"))

    @property  # type: ignore[misc]  # isinstance() reads __class__
    def __class__(self) -> Any:
        """The class of the stand-in, which `isinstance` reads; code of a running config file must not ask for it.

        Raises:
            LazyCallError: a config file that is running asks for the class.
        """
        if _HOLD.get():
            # The frame is not stored in a local variable: the variable would keep the caller's locals alive until the
            # garbage collector runs.
            caller_globals = cast(Any, inspect.currentframe()).f_back.f_globals
            if caller_globals.get("__name__") == RUNNING_MODULE:
                raise self._refuse("its type")
        return type(self)

    def __bool__(self) -> bool:
        if _HOLD.get():
            raise self._refuse("whether it is true")
        return True

    def __eq__(self, other: object) -> bool:
        if type(other) in _LAZY:
            return bool(self.dotted == other.dotted)  # type: ignore[attr-defined]  # every stand-in has the attribute `dotted`
        if _HOLD.get():
            raise self._refuse("what it equals")
        return False

    def __hash__(self) -> int:
        return hash(self.dotted)

    def __repr__(self) -> str:
        return self.dotted.rpartition(".")[2]

    def __str__(self) -> str:
        if _HOLD.get():
            raise self._refuse("its text")
        return repr(self)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state


def _unknown(name: str) -> Any:
    """Returns a special method, such as ``__add__``, that raises `LazyCallError`: the real value is not known."""

    def method(self: Lazy, *args: Any) -> Any:
        raise self._refuse("its value")

    method.__name__ = name
    return method


for _name in (
    *("len", "iter", "getitem", "contains", "index", "int", "float", "neg", "pos", "abs", "lt", "le", "gt", "ge"),
    *(
        f"{side}{name}"
        for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "or", "and")
        for side in ("", "r")
    ),
):
    setattr(Lazy, f"__{_name}__", _unknown(f"__{_name}__"))


class LazyObject(Lazy):
    """Stand-in for a module, or for a name imported from a module.

    Args:
        module: dotted module name; a list if several statements, such as ``import a.b`` and ``import a.c``, bind the
            same name ``a``.
        imported: the name imported from the module; None for the module itself.
        location: ``"file.py, line 3"`` of the import statement, for messages.

    Raises:
        TypeError: `module` is neither a string nor a sequence of strings.

    Example:
        >>> LazyObject("collections", "OrderedDict").build()
        <class 'collections.OrderedDict'>
    """

    def __init__(self, module: str | Sequence[str], imported: str | None = None, location: str | None = None) -> None:
        self._module, self._imported, self.location = module, imported, location
        if type(module) is str:
            self._modules, self._root = [module], module
            return
        if not module or not isinstance(module, (list, tuple)) or not all(isinstance(name, str) for name in module):
            raise TypeError(f"module must be a string or a list of strings, got {module!r}")
        # A list stands for `import a.b, a.c`, which binds the root package `a`. A string stands for `import a.b as c`,
        # which binds the module `a.b`.
        self._modules, self._root = [*module], module[0].partition(".")[0]

    def build(self) -> Any:
        """Imports and returns the module or object.

        Raises:
            ImportError: the module or the name does not exist; the message names the config line that imports it.
        """
        try:
            first, *_ = [importlib.import_module(name) for name in self._modules]
        except ImportError as error:
            raise type(error)(f"cannot import {self._modules} for the config{self._origin_note()}: {error}") from error
        if self._imported is None:
            return importlib.import_module(self._root)
        return self._member(first)

    def _member(self, module: Any) -> Any:
        """Returns the imported name from its module: an attribute, or else a submodule, which is then imported."""
        assert self._imported is not None
        if hasattr(module, self._imported):
            return getattr(module, self._imported)
        try:
            return importlib.import_module(f"{module.__name__}.{self._imported}")
        except ModuleNotFoundError as error:
            raise ImportError(f"module {module.__name__!r} has no {self._imported!r}{self._origin_note()}") from error

    @property
    def module(self) -> str | Sequence[str]:
        """The module name or names that were passed to the constructor."""
        return self._module

    @property
    def dotted(self) -> str:
        """The full dotted name, such as ``"torch.optim.SGD"``."""
        if self._imported is None:
            return self._root
        return f"{self._modules[0]}.{self._imported}"

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyObject:
        return LazyObject(self._module, self._imported, self.location)

    def __repr__(self) -> str:
        return self._imported or self.dotted


class LazyAttr(Lazy):
    """Stand-in for an attribute of another stand-in, such as ``nn.Conv2d`` after ``import torch.nn as nn``.

    Args:
        name: name of the attribute.
        source: the stand-in that has the attribute.
        location: file and line of the import statement, for messages.

    Raises:
        TypeError: `source` is not a lazy stand-in.
    """

    def __init__(self, name: str, source: Lazy, location: str | None = None) -> None:
        if not isinstance(source, Lazy):
            raise TypeError(f"source must be a LazyObject or a LazyAttr, got {type(source).__name__}")
        self.name, self.source, self.location = name, source, location

    @property
    def module(self) -> str:
        """Dotted name of the module or object that has the attribute."""
        return self.source.dotted

    @property
    def dotted(self) -> str:
        """The full dotted name, such as ``"torch.nn.Conv2d"``."""
        return f"{self.source.dotted}.{self.name}"

    def build(self) -> Any:
        """Imports the module or object that has the attribute, and returns the attribute.

        Raises:
            ImportError: the module or object cannot be imported or has no such attribute.
        """
        source = self.source.build()
        try:
            return getattr(source, self.name)
        except AttributeError as error:
            origin = ""
            if self.location:
                origin = f" (imported in {self.location})"
            try:
                return importlib.import_module(self.dotted)
            except ImportError:
                raise ImportError(f"{self.module} has no {self.name!r}{origin}") from error

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyAttr:
        return LazyAttr(self.name, self.source, self.location)


def is_lazy(value: object) -> bool:
    """Whether `value` is a lazy stand-in: a `LazyObject` or `LazyAttr`."""
    return type(value) in _LAZY


def resolve(value: Any) -> Any:
    """Imports and returns the object that a lazy stand-in names; other values are returned unchanged.

    Inside `hold_lazy`, that is while a config file runs, stand-ins are returned unchanged too.
    """
    if type(value) in _LAZY and not _HOLD.get():
        return value.build()
    return value


_LAZY = (LazyObject, LazyAttr)


def dotted_name(value: Any) -> str:
    """Returns the dotted name of a stand-in, class or function, as ``Config.dump`` and ``to_dict`` write it."""
    if is_lazy(value):
        return str(value.dotted)
    return f"{value.__module__}.{value.__qualname__}"
