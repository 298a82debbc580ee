"""Stand-ins for what a config file imports: named while the file is read, imported when somebody needs the thing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .errors import LazyCallError

RUNNING_MODULE = "__config__"
_HOLD: ContextVar[bool] = ContextVar("eng_config_hold_lazy", default=False)


@contextmanager
def hold_lazy() -> Iterator[None]:
    """Inside, reading a lazy value out of a config gives the stand-in; outside, it gives the imported thing."""
    token = _HOLD.set(True)
    try:
        yield
    finally:
        _HOLD.reset(token)


def is_held() -> bool:
    """Whether a config file runs."""
    return _HOLD.get()


class Lazy:
    """What `LazyObject` and `LazyAttr` share: they stand for a value that the file cannot use yet.

    While a config file runs, asking for the value (``if X``, ``X == 1``, ``f"{X}"``, ``X + 1``, ``isinstance``, …) is an
    error instead of a wrong answer.
    """

    location: str | None

    @property
    def dotted(self) -> str:
        """The full dotted name."""
        raise NotImplementedError

    def _refuse(self, use: str) -> LazyCallError:
        origin = ""
        if self.location:
            origin = f" in {self.location}"
        return LazyCallError(
            f"{self.dotted}, imported{origin}, is not imported while the config file is read, so {use} is not known; "
            "write the value into the file, or read it with Config.fromfile(…, lazy_import=False)"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raises `LazyCallError`: what is imported lazily cannot be called yet."""
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

    @property  # type: ignore[misc]  # what isinstance asks
    def __class__(self) -> Any:
        if _HOLD.get() and sys._getframe(1).f_globals.get("__name__") == RUNNING_MODULE:  # noqa: SLF001
            raise self._refuse("its type")
        return type(self)

    def __bool__(self) -> bool:
        if _HOLD.get():
            raise self._refuse("whether it is true")
        return True

    def __eq__(self, other: object) -> bool:
        if type(other) in _LAZY:
            return bool(self.dotted == other.dotted)  # type: ignore[attr-defined]  # a stand-in has it
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
    def method(self: Lazy, *args: Any) -> Any:
        raise self._refuse("its value")  # a method of it

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
    """A module, or a name of a module, that is not imported yet.

    Args:
        module: dotted module name; a list stands for several ``import a.b`` of one root package.
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
        # `import a.b, a.c` binds the root package `a`; `import a.b as c` binds the module itself.
        self._modules, self._root = [*module], module[0].partition(".")[0]

    def build(self) -> Any:
        """The imported module or object.

        Raises:
            ImportError: the module or the name does not exist; names the line of the config that imports it.
        """
        try:
            first, *_ = [importlib.import_module(name) for name in self._modules]
        except ImportError as error:
            raise type(error)(f"cannot import {self._modules} for the config{self._origin_note()}: {error}") from error
        if self._imported is None:
            return importlib.import_module(self._root)
        return self._member(first)

    def _member(self, module: Any) -> Any:
        assert self._imported is not None
        if hasattr(module, self._imported):
            return getattr(module, self._imported)
        try:
            return importlib.import_module(f"{module.__name__}.{self._imported}")
        except ModuleNotFoundError as error:
            raise ImportError(f"module {module.__name__!r} has no {self._imported!r}{self._origin_note()}") from error

    @property
    def module(self) -> str | Sequence[str]:
        """The module or modules as given."""
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
    """An attribute of something lazy, such as ``nn.Conv2d`` after ``import torch.nn as nn``.

    Args:
        name: name of the attribute.
        source: what it is an attribute of.
        location: place of the import, for messages.

    Raises:
        TypeError: `source` is not lazy.
    """

    def __init__(self, name: str, source: Lazy, location: str | None = None) -> None:
        if not isinstance(source, Lazy):
            raise TypeError(f"source must be a LazyObject or a LazyAttr, got {type(source).__name__}")
        self.name, self.source, self.location = name, source, location

    @property
    def module(self) -> str:
        """Dotted name of what holds the attribute."""
        return self.source.dotted

    @property
    def dotted(self) -> str:
        """The full dotted name, such as ``"torch.nn.Conv2d"``."""
        return f"{self.source.dotted}.{self.name}"

    def build(self) -> Any:
        """The attribute itself.

        Raises:
            ImportError: the source cannot be imported or has no such attribute.
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
    """Whether `value` is a stand-in."""
    return type(value) in _LAZY


def resolve(value: Any) -> Any:
    """The imported thing behind a stand-in (anything else as it is), unless `hold_lazy` is active."""
    if type(value) in _LAZY and not _HOLD.get():
        return value.build()
    return value


_LAZY = (LazyObject, LazyAttr)


def dotted_name(value: Any) -> str:
    """Dotted path of a stand-in, class or function, as dumps and ``to_dict`` write it."""
    if is_lazy(value):
        return str(value.dotted)
    return f"{value.__module__}.{value.__qualname__}"
