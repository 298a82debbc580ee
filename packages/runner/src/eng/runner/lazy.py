"""A part of a run that is a config until it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """A part of a run, such as the model, that is built from its setting when it is first needed.

    Args:
        setting: a config or object from which the part is built; None if the run has no such part.
        build: function that builds the part from the setting.

    Attributes:
        setting: the config or object from which the part is built.
        value: the built part; None before it is built, and if ``build`` returned None.
        is_built: whether ``build`` was called for the setting.

    Example:
        >>> squares = Lazy({"n": 3}, lambda cfg: [i * i for i in range(cfg["n"])])
        >>> squares.peek(), squares.get(), squares.peek()
        ({'n': 3}, [0, 1, 4], [0, 1, 4])
    """

    __slots__ = ("build", "is_built", "setting", "value")

    def __init__(self, setting: object, build: Callable[[Any], T]) -> None:
        self.setting = setting
        self.build = build
        self.value: T | None = None
        self.is_built = False

    def get(self) -> T | None:
        """Returns the part and builds it at the first call; returns None if the setting is None."""
        if not self.is_built and self.setting is not None:
            self.value = self.build(self.setting)
            self.is_built = True
        return self.value

    def need(self) -> T:
        """Returns the part and builds it at the first call.

        Raises:
            LookupError: the setting is None, so that the run has no such part.
        """
        part = self.get()
        if part is None:
            raise LookupError("the run was not given this part")
        return part

    def peek(self) -> Any:
        """Returns the part if it is built already, otherwise its setting; never builds the part."""
        if self.is_built:
            return self.value
        return self.setting

    def replace(self, setting: object) -> None:
        """Replaces the setting, so that the next call of :meth:`get` builds the part again."""
        self.setting, self.value, self.is_built = setting, None, False
