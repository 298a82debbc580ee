"""The exceptions of this package; their data are attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["BuildNode", "DuplicateNameError", "UnknownTypeError", "UntrustedTypeError"]


class UsageTypeError(TypeError, AssertionError):
    """An argument has the wrong type. MMEngine raises AssertionError in this case, which is therefore a base class."""


class UsageValueError(ValueError, AssertionError):
    """An argument has an invalid value. MMEngine raises AssertionError in this case, which is therefore a base class."""


class UnknownTypeError(KeyError):
    """A name is not registered in any of the searched registries.

    Attributes:
        name: the name that was looked up, such as ``"mmdet.ResNet"``.
        searched: the scopes that were searched, in order.
        near: registered names with a similar spelling, the most similar first.
    """

    def __init__(
        self, message: str, *, name: str = "", searched: Sequence[str] = (), near_names: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.name = name
        self.searched = tuple(searched)
        self.near = tuple(near_names)

    __str__ = Exception.__str__  # `KeyError.__str__` would put the message in quotes.


class EmptyNameError(KeyError, RuntimeError):
    """The name to look up is empty. MMEngine raises RuntimeError in this case, which is therefore a base class."""

    __str__ = Exception.__str__  # `KeyError.__str__` would put the message in quotes.


class UntrustedTypeError(ValueError):
    """An untrusted config names a class or function that is not registered.

    Attributes:
        name: the dotted path in the config.
    """

    def __init__(self, name: str, reason: str | None = None) -> None:
        super().__init__(name if reason is None else f"{name!r} {reason}")
        self.name = name


class MissingTypeError(KeyError):
    """A config has no key ``type``, so that it is unknown what to build."""

    __str__ = Exception.__str__  # `KeyError.__str__` would put the message in quotes.


class DuplicateNameError(KeyError):
    """A name is already registered, and ``force=True`` was not passed."""

    __str__ = Exception.__str__  # `KeyError.__str__` would put the message in quotes.


@dataclass
class BuildNode:
    """A config mapping whose build failed.

    Attributes:
        path: the keys from the root of the config to the mapping, such as ``"model.backbone"``.
        call: the call that the mapping describes, such as ``"ResNet(depth=50)"``.
        where: file and line of the mapping, such as ``"configs/a.py:12"``; None if unknown.
        cfg: the mapping itself; None after pickling.
    """

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
        # The config is left out: it may contain objects that cannot be pickled, and an error message in another process
        # needs only texts.
        return BuildNode, (self.path, self.call, self.where)
