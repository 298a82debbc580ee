"""What goes wrong between a name and an object, each with its data as attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["BuildNode", "DuplicateNameError", "UnknownTypeError", "UntrustedTypeError"]


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

    def __init__(
        self, message: str, *, name: str = "", searched: Sequence[str] = (), near_names: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.name = name
        self.searched = tuple(searched)
        self.near = tuple(near_names)

    __str__ = Exception.__str__  # KeyError shows the repr of its argument


class EmptyNameError(KeyError, RuntimeError):
    """An empty text where a name is looked up; a RuntimeError in MMEngine."""

    __str__ = Exception.__str__  # KeyError shows the repr of its argument


class UntrustedTypeError(ValueError):
    """A config whose author is not trusted names something that is not registered.

    Attributes:
        name: the dotted path in the config.
    """

    def __init__(self, name: str, reason: str | None = None) -> None:
        super().__init__(name if reason is None else f"{name!r} {reason}")
        self.name = name


class MissingTypeError(KeyError):
    """A config without the key that says what to build."""

    __str__ = Exception.__str__  # KeyError shows the repr of its argument


class DuplicateNameError(KeyError):
    """A name that is registered already, and `force` was not given."""

    __str__ = Exception.__str__  # KeyError shows the repr of its argument


@dataclass
class BuildNode:
    """One step of a failed build: where it stands in the config, and what was called with what."""

    path: str
    call: str
    where: str | None = None
    cfg: object = None

    def __str__(self) -> str:
        location = ""
        if self.where:
            location = f"{self.where} "
        return f"{location}{self.path} → {self.call}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The config may hold anything; the words are enough for another process.
        return BuildNode, (self.path, self.call, self.where)
