"""The exceptions of this package. Their messages say how to fix the config; all of them can be pickled."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def near_names(name: object, known: Iterable[object], *, count: int = 3) -> list[str]:
    """Returns the names in `known` that are spelled most like `name`, the most similar first.

    Example:
        >>> near_names("depht", ["depth", "width"])
        ['depth']
    """
    return difflib.get_close_matches(str(name), [str(key) for key in known], n=count, cutoff=0.6)


def hint(name: object, known: Iterable[object]) -> str:
    """Returns the end of an error message that suggests similarly spelled names.

    Without a similar name, it lists up to twelve known names; with more than twelve, it is empty.

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
    """Base class of the exceptions of this package; each also derives from a builtin exception such as ValueError.

    Pickling keeps type, message and attributes, so that an exception can be passed between processes. Every class can
    also be created from a message alone, as torch's DataLoader does to re-raise an exception of a worker process.
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
    """A config file is invalid.

    Attributes:
        file: path of the file.
        line: 1-based line of the mistake; None if the mistake does not belong to a single line.
    """

    def __init__(self, message: str, file: str | None = None, line: int | None = None) -> None:
        self.file, self.line = file, line
        location = file
        if file and line:
            location = f"{file}:{line}"
        super().__init__(f"{location}: {message}" if location else message)


class ConfigSyntaxError(ConfigFileError, SyntaxError):
    """The text of a config is not valid Python, JSON or YAML. The message shows file, line and a caret.

    Args:
        message: what is wrong.
        file: path of the file.
        line: 1-based line.
        column: 1-based column.
        text: the text of that line.
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
    """Returns a line of a file and below it a caret ``^`` at the 1-based column."""
    indent = "".join(char if char == "\t" else " " for char in line[: column - 1]).ljust(column - 1)
    return f"    {line}\n    {indent}^"


class CircularBaseError(ConfigFileError):
    """A config inherits from itself, directly or through its base configs."""


class MixedStyleError(ConfigFileError, RuntimeError):
    """Configs that inherit from each other mix the two styles, `_base_ = …` and `with read_base():`."""


class UnsafeConfigError(ConfigFileError):
    """A config read with ``trust=False`` contains code to execute, or a base config outside the allowed folder."""


class UndefinedVariableError(ConfigFileError, KeyError):
    """A ``{{…}}`` in a config names an unset environment variable, an unknown predefined name or a missing base key."""

    __str__ = ValueError.__str__


class BaseFileNotFoundError(ConfigError, FileNotFoundError):
    """A base config that a config file names in `_base_`, or imports inside ``with read_base():``, does not exist."""


class ConfigKeyError(ConfigError, KeyError):
    """Base class of errors about a config key: set twice, reserved, or an index that is out of range."""

    __str__ = Exception.__str__  # `KeyError.__str__` would put the message in quotes.


class DuplicateKeyError(ConfigKeyError):
    """Two base configs of one config set the same top-level key."""


class ReservedKeyError(ConfigKeyError):
    """A top-level key has the name of an attribute of `Config`."""


class MergeTypeError(ConfigError, TypeError):
    """A mapping cannot be merged into a value that is not a mapping.

    Attributes:
        path: keys from the root of the config to the mapping.
        reason: the error message without these keys.
    """

    def __init__(self, reason: str, path: tuple[Any, ...] = ()) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{'.'.join(map(str, path))}: {reason}" if path else reason)


class MergeIndexError(ConfigKeyError):
    """A list index in the dotted key of an override is out of range."""


class DumpTypeError(ConfigError, TypeError):
    """A value of a config cannot be written in the chosen file format.

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
    """A config file calls or computes with a lazily imported object, which is not imported while the file is read."""


class MissingKeyError(ConfigError, KeyError):
    """``cfg["key"]`` was read and the config has no such key; the message suggests similar keys."""

    def __init__(self, key: object, known: Iterable[object] | None = None) -> None:
        super().__init__(key)
        self.key, self._known = key, known

    def __str__(self) -> str:
        if self._known is None:  # The error was created from a message alone.
            return str(self.key)
        return f"no key {self.key!r} in this config{hint(self.key, self._known)}"

    def _state(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": None if self._known is None else [str(name) for name in self._known]}


class MissingAttributeError(ConfigError, AttributeError):
    """``cfg.key`` was read and the config has no such key; the message suggests similar keys.

    Similar keys are searched only when the message is read, because ``hasattr`` and ``getattr`` with a default raise
    this error often and discard it.
    """

    def __init__(self, key: str, known: Iterable[object] | None = None) -> None:
        super().__init__(key)
        self.key, self._known = key, known

    def __str__(self) -> str:
        if self._known is None:  # The error was created from a message alone.
            return str(self.key)
        return f"'ConfigDict' object has no attribute {self.key!r}{hint(self.key, self._known)}"

    def _state(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": None if self._known is None else [str(name) for name in self._known]}
