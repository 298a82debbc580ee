"""A part that is built when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Slot:
    """Holds the setting of a part and, once it is built, the part.

    Args:
        setting: a config, an object, or None where the run has no such part.
        build: makes the part from the setting.

    Attributes:
        value: the part; None before it is built.
    """

    __slots__ = ("build", "setting", "value")

    def __init__(self, setting: Any, build: Callable[[Any], Any]) -> None:
        self.setting = setting
        self.build = build
        self.value: Any = None

    def get(self) -> Any:
        """The part, built at the first call; None where there is no setting."""
        if self.value is None and self.setting is not None:
            self.value = self.build(self.setting)
        return self.value

    def peek(self) -> Any:
        """The part where it is built, its setting before."""
        return self.setting if self.value is None else self.value

    def replace(self, part: Any) -> None:
        """Takes another part, or another setting, which is built when it is first needed."""
        self.setting, self.value = part, None
