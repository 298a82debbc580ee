"""A part of a run that is a config until it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """A part's setting, and the part once it is built.

    Args:
        setting: a config, an object, or None where the run has no such part.
        build: makes the part from the setting.

    Attributes:
        setting: what the part is built from.
        value: the part; None before it is built.

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
        """The part, built at the first call; None where there is no setting."""
        if self.value is None and self.setting is not None:
            self.value = self.build(self.setting)
        return self.value

    def need(self) -> T:
        """The part, built at the first call.

        Raises:
            LookupError: the run has no such part.
        """
        part = self.get()
        if part is None:
            raise LookupError("the run was not given this part")
        return part

    def peek(self) -> Any:
        """The part where it is built, its setting before."""
        if self.value is None:
            return self.setting
        return self.value

    def replace(self, setting: object) -> None:
        """Takes another setting, or another part, which counts as built when it is next needed."""
        self.setting, self.value = setting, None
