"""What can go wrong with an inference."""

from __future__ import annotations

from typing import Any

__all__ = ["InputError"]


class InputError(ValueError):
    """An input gave nothing to run the model on.

    Attributes:
        item: the input.
    """

    def __init__(self, item: Any, reason: str) -> None:
        shown = repr(item) if isinstance(item, str) else f"a {type(item).__name__}"
        super().__init__(f"the input {shown} cannot be used: {reason}")
        self.item = item
