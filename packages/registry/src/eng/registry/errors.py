"""What goes wrong between a name and an object, each with its data as attributes."""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

__all__ = ["BuildError", "BuildNode", "DuplicateNameError", "UnknownTypeError", "UntrustedTypeError"]


class UsageTypeError(TypeError, AssertionError):
    """An argument of another type than the one that is asked for; MMEngine asserts it."""


class UsageValueError(ValueError, AssertionError):
    """An argument with a value that cannot work; MMEngine asserts it."""


class UnknownTypeError(KeyError):
    """A name that no searched registry knows.

    Attributes:
        name: the name as it was asked for, such as ``"mmdet.ResNet"``.
        searched: the scopes that were searched, nearest first.
        near: registered names that look alike, nearest first.
    """

    def __init__(self, message: str, *, name: str, searched: Sequence[str] = (), near: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.searched = tuple(searched)
        self.near = tuple(near)

    def __str__(self) -> str:
        # KeyError would print the repr of its argument.
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return _unknown_type, (self.args[0], self.name, self.searched, self.near)


class UntrustedTypeError(ValueError):
    """A config whose author is not trusted names something that is not registered.

    Attributes:
        name: the dotted path in the config.
    """

    def __init__(self, name: str, reason: str | None = None) -> None:
        super().__init__(name if reason is None else f"{name!r} {reason}")
        self.name = name


def _unknown_type(message: str, name: str, searched: Sequence[str], near: Sequence[str]) -> UnknownTypeError:
    return UnknownTypeError(message, name=name, searched=searched, near=near)


class DuplicateNameError(KeyError):
    """A name that is registered already, and `force` was not given."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass
class BuildNode:
    """One step of a failed build: where it stands in the config, and what was called with what."""

    path: str
    call: str
    where: str | None = None
    cfg: object = None

    def __str__(self) -> str:
        place = f"{self.where} " if self.where else ""
        return f"{place}{self.path} → {self.call}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The config may hold anything; the words are enough for another process.
        return BuildNode, (self.path, self.call, self.where)


class _BuildErrorMeta(type):
    """Makes the classes that `build_error_class` creates picklable: torch's workers send the class of an error."""


class BuildError(Exception, metaclass=_BuildErrorMeta):
    """A build that failed; also an instance of the type of its cause.

    ``except TypeError`` and the like therefore work as if the error came straight from the constructor.

    Attributes:
        chain: the nodes from the outermost build to the one that failed.
        cause: the error raised by the innermost node; its traceback is kept as ``__cause__``.
        argument_hints: what each argument that the innermost node does not take may have meant.
    """

    chain: list[BuildNode]
    cause: Exception
    argument_hints: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not hasattr(self, "chain"):  # made by somebody else from a bare message, as torch's workers do
            return str(self.args[0]) if self.args else ""
        *outer, failed = self.chain
        lines = [f"{failed}: {type(self.cause).__name__}: {_words_of(self.cause)}"]
        lines += [f"  {hint}" for hint in self.argument_hints]
        lines += [f"  while building {node}" for node in reversed(outer)]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return build_error, (self.cause, self.chain, self.argument_hints)


def _words_of(cause: Exception) -> str:
    """The message of `cause`; a KeyError would show a sentence in quotes, with its own quotes escaped."""
    is_sentence = type(cause) is KeyError and len(cause.args) == 1 and " " in str(cause.args[0])
    return str(cause.args[0]) if is_sentence else str(cause)


@cache
def build_error_class(cause: type[Exception]) -> type[BuildError]:
    """The class of a failed build that was caused by a `cause`."""
    try:
        made: Any = _BuildErrorMeta(f"BuildError[{cause.__name__}]", (BuildError, cause), {"__module__": __name__})
        mixed: type[BuildError] = made
    except TypeError:  # a cause that cannot be subclassed, or whose metaclass does not mix
        return BuildError
    return mixed


def build_error(cause: Exception, chain: list[BuildNode], argument_hints: tuple[str, ...] = ()) -> BuildError:
    """The error for a build that `cause` ended."""
    kind: Any = type(cause)
    error = _instance(build_error_class(kind), cause)
    error.__dict__.update({**cause.__dict__, "chain": chain, "cause": cause, "argument_hints": argument_hints})
    return error


def _instance(cls: type[BuildError], cause: Exception) -> BuildError:
    """An instance that carries the cause's arguments without running its `__init__`, which may ask for others."""
    reduced: Any = cause.__reduce__()
    made, arguments, *_ = reduced  # an OSError keeps its file name only there
    try:
        return cls.__new__(cls, *(arguments if made is type(cause) else cause.args))
    except TypeError:
        return BuildError(*cause.args)


def _reduce_class(cls: type) -> Any:
    return cls.__name__ if cls is BuildError else (build_error_class, (cls.__mro__[2],))


copyreg.pickle(_BuildErrorMeta, _reduce_class)
