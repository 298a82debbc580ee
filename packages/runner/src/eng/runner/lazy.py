"""A part of a run that is a config until it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """The setting of a part of a run, and the part itself as soon as it is built.

    Args:
        setting: a config, an object, or None where the run has no such part.
        build: function that builds the part from the setting.

    Attributes:
        setting: the config or object from which the part is built.
        value: the built part; None before it is built.

    Example:
        >>> squares = Lazy({"n": 3}, lambda cfg: [i * i for i in range(cfg["n"])])
        >>> squares.peek(), squares.get(), squares.peek()
        ({'n': 3}, [0, 1, 4], [0, 1, 4])
    """

    __slots__ = ("build", "setting", "value")

    def __init__(self, setting: object, build: Callable[[Any], T]) -> None:
        self.setting = setting
        self.build = build
        self.value: T | None = None

    def get(self) -> T | None:
        """Returns the part, which the first call builds; None if there is no setting."""
        if self.value is None and self.setting is not None:
            self.value = self.build(self.setting)
        return self.value

    def need(self) -> T:
        """Returns the part, which the first call builds.

        Raises:
            LookupError: there is no setting, so the run has no such part.
        """
        part = self.get()
        if part is None:
            raise LookupError("the run was not given this part")
        return part

    def peek(self) -> Any:
        """Returns the part if it is built, else its setting; never builds."""
        if self.value is None:
            return self.setting
        return self.value

    def replace(self, setting: object) -> None:
        """Sets another setting, from which the next call of :meth:`get` builds the part anew."""
        self.setting, self.value = setting, None
