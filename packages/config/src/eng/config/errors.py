"""What can go wrong with a config, each error with its data and a way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def near(name: object, known: Iterable[object], *, count: int = 3) -> list[str]:
    """The names of `known` that look most like `name`, best first.

    Example:
        >>> near("depht", ["depth", "width"])
        ['depth']
    """
    return difflib.get_close_matches(str(name), [str(key) for key in known], n=count, cutoff=0.6)


def hint(name: object, known: Iterable[object]) -> str:
    """A sentence that offers near names, or the known names where few, or nothing.

    Example:
        >>> hint("depht", ["depth", "width"])
        "; did you mean 'depth'?"
    """
    names = list(known)
    close = near(name, names)
    if close:
        return f"; did you mean {' or '.join(repr(item) for item in close)}?"
    if names and len(names) <= 12:
        return f"; it has {', '.join(str(item) for item in names)}"
    return ""


class ConfigFileError(ValueError):
    """A config file cannot be read as one.

    Attributes:
        file: path of the file.
        line: 1-based line, or None where no line is to blame.
    """

    def __init__(self, message: str, file: str | None = None, line: int | None = None) -> None:
        self.file, self.line = file, line
        place = f"{file}:{line}" if file and line else file
        super().__init__(f"{place}: {message}" if place else message)


class ConfigSyntaxError(ConfigFileError, SyntaxError):
    """The text of a config is not valid in its format. Shows file, line and a caret."""

    __str__ = ValueError.__str__


class CircularBaseError(ConfigFileError):
    """A file is, through its bases, its own base."""


class MixedStyleError(ConfigFileError, RuntimeError):
    """`_base_ = …` and `with read_base():` meet in one chain of files."""


class UnsafeConfigError(ConfigFileError):
    """A config read with ``trust=False`` asks for something that would execute code."""


class UndefinedVariableError(ConfigFileError, KeyError):
    """A ``{{…}}`` names nothing that exists."""

    __str__ = ValueError.__str__


class BaseFileNotFoundError(FileNotFoundError):
    """A file named in `_base_` (or `read_base`) does not exist."""


class DuplicateKeyError(KeyError):
    """The same top-level key stands in two bases of one file."""

    def __str__(self) -> str:
        return str(self.args[0])


class ReservedKeyError(KeyError):
    """A top-level key has the name of an attribute of `Config`."""

    def __str__(self) -> str:
        return str(self.args[0])


class MergeTypeError(TypeError):
    """A mapping meets something that is not a mapping.

    Attributes:
        path: keys from the root to the place.
    """

    def __init__(self, path: tuple[Any, ...], message: str) -> None:
        self.path, self.reason = path, message
        super().__init__(f"{'.'.join(map(str, path))}: {message}" if path else message)


class MergeIndexError(KeyError):
    """A list index in an override exceeds the list."""

    def __str__(self) -> str:
        return str(self.args[0])


class CustomImportError(ImportError):
    """A module of `custom_imports` cannot be imported."""


class LazyCallError(RuntimeError, TypeError):
    """Something imported lazily by a config file was called while the file was read."""


class MissingKeyError(KeyError):
    """``cfg["key"]`` where there is no such key; the message offers near ones."""

    def __init__(self, key: object, known: Iterable[object] = ()) -> None:
        super().__init__(key)
        self.key, self._known = key, known

    def __str__(self) -> str:
        return f"no key {self.key!r} in this config{hint(self.key, self._known)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, [str(name) for name in self._known])


class MissingAttributeError(AttributeError):
    """``cfg.key`` where there is no such key; the message offers near ones.

    The search for near names waits until somebody reads the message, as ``hasattr`` and ``getattr`` with a default
    raise this often and never look at it.
    """

    def __init__(self, key: str, known: Iterable[object] = ()) -> None:
        super().__init__(key)
        self.key, self._known = key, known

    def __str__(self) -> str:
        return f"'ConfigDict' object has no attribute {self.key!r}{hint(self.key, self._known)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, [str(name) for name in self._known])
