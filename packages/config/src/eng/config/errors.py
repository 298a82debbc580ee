"""What can go wrong with a config, each error with its data and a way out. All of them can be pickled."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def near_names(name: object, known: Iterable[object], *, count: int = 3) -> list[str]:
    """The names of `known` that look most like `name`, best first.

    Example:
        >>> near_names("depht", ["depth", "width"])
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
    close = near_names(name, names)
    if close:
        return f"; did you mean {' or '.join(repr(item) for item in close)}?"
    if names and len(names) <= 12:
        return f"; it has {', '.join(str(item) for item in names)}"
    return ""


class ConfigError(Exception):
    """Base of the errors of this package; each is an error of Python's own kind as well.

    An error comes out of another process as it went in: with its type, text and attributes. Made from a text alone, as
    the workers of torch's DataLoader do, it has that text.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self._state())

    def _state(self) -> dict[str, Any]:
        return self.__dict__


def _rebuilt(cls: type[ConfigError], args: tuple[Any, ...], state: dict[str, Any]) -> ConfigError:
    error = cls.__new__(cls, *args)
    error.args = args
    for name, value in state.items():
        setattr(error, name, value)
    return error


class ConfigFileError(ConfigError, ValueError):
    """A config file cannot be read as one.

    Attributes:
        file: path of the file.
        line: 1-based line, or None where no line is to blame.
    """

    def __init__(self, message: str, file: str | None = None, line: int | None = None) -> None:
        self.file, self.line = file, line
        location = file
        if file and line:
            location = f"{file}:{line}"
        super().__init__(f"{location}: {message}" if location else message)


class ConfigSyntaxError(ConfigFileError, SyntaxError):
    """The text of a config is not valid in its format. Shows file, line and a caret, in any traceback too.

    Args:
        message: what is wrong.
        file: path of the file.
        line: 1-based line.
        column: 1-based column.
        text: the line itself.
    """

    def __init__(
        self,
        message: str,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        text: str | None = None,
    ) -> None:
        if text is None:
            shown = ""
        else:
            shown = f"\n{caret(text, column or 1)}"
        super().__init__(message + shown, file, line)
        self.msg, self.filename, self.lineno, self.offset, self.text = message, file, line, column, text

    __str__ = ValueError.__str__

    def _state(self) -> dict[str, Any]:
        names = ("msg", "filename", "lineno", "offset", "text")
        return {**self.__dict__, **{name: getattr(self, name) for name in names}}


def caret(line: str, column: int) -> str:
    """A line of a file with a caret below its 1-based column."""
    indent = "".join(char if char == "\t" else " " for char in line[: column - 1]).ljust(column - 1)
    return f"    {line}\n    {indent}^"


class CircularBaseError(ConfigFileError):
    """A file is, through its bases, its own base."""


class MixedStyleError(ConfigFileError, RuntimeError):
    """`_base_ = …` and `with read_base():` meet in one chain of files."""


class UnsafeConfigError(ConfigFileError):
    """A config read with ``trust=False`` asks for more than data."""


class UndefinedVariableError(ConfigFileError, KeyError):
    """A ``{{…}}`` names nothing that exists."""

    __str__ = ValueError.__str__


class BaseFileNotFoundError(ConfigError, FileNotFoundError):
    """A file named in `_base_` (or `read_base`) does not exist."""


class ConfigKeyError(ConfigError, KeyError):
    """A key is wrong; shows its message as it is, where a plain KeyError quotes it."""

    __str__ = Exception.__str__  # KeyError shows the repr of its argument


class DuplicateKeyError(ConfigKeyError):
    """The same top-level key stands in two bases of one file."""


class ReservedKeyError(ConfigKeyError):
    """A top-level key has the name of an attribute of `Config`."""


class MergeTypeError(ConfigError, TypeError):
    """A mapping meets something that is not a mapping.

    Attributes:
        path: keys from the root to the mapping.
        reason: the message without the path.
    """

    def __init__(self, reason: str, path: tuple[Any, ...] = ()) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{'.'.join(map(str, path))}: {reason}" if path else reason)


class MergeIndexError(ConfigKeyError):
    """A list index in an override exceeds the list."""


class DumpTypeError(ConfigError, TypeError):
    """A value of a config has no form in a file.

    Attributes:
        path: keys from the root to the value.
    """

    def __init__(self, reason: str, path: tuple[Any, ...] = ()) -> None:
        self.path = path
        super().__init__(f"{'.'.join(map(str, path))}: {reason}" if path else reason)


class CustomImportError(ConfigError, ImportError):
    """A module of `custom_imports` cannot be imported."""

    def _state(self) -> dict[str, Any]:
        return {**self.__dict__, **{name: getattr(self, name) for name in ("msg", "name", "path")}}


class LazyCallError(ConfigError, RuntimeError, TypeError):
    """A config file uses the value of something that it imports lazily."""


class MissingKeyError(ConfigError, KeyError):
    """``cfg["key"]`` where there is no such key; the message offers near ones."""

    def __init__(self, key: object, known: Iterable[object] | None = None) -> None:
        super().__init__(key)
        self.key, self._known = key, known

    def __str__(self) -> str:
        if self._known is None:  # made from a text
            return str(self.key)
        return f"no key {self.key!r} in this config{hint(self.key, self._known)}"

    def _state(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": None if self._known is None else [str(name) for name in self._known]}


class MissingAttributeError(ConfigError, AttributeError):
    """``cfg.key`` where there is no such key; the message offers near ones.

    The search for near names waits until somebody reads the message, as ``hasattr`` and ``getattr`` with a default
    raise this often and never look at it.
    """

    def __init__(self, key: str, known: Iterable[object] | None = None) -> None:
        super().__init__(key)
        self.key, self._known = key, known

    def __str__(self) -> str:
        if self._known is None:  # made from a text
            return str(self.key)
        return f"'ConfigDict' object has no attribute {self.key!r}{hint(self.key, self._known)}"

    def _state(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": None if self._known is None else [str(name) for name in self._known]}
