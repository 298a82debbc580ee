"""What can go wrong with an inference."""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["InputError"]


class InputError(ValueError):
    """An input gave nothing to run the model on.

    Attributes:
        item: the input; its repr in another process, where the input cannot be pickled.
    """

    def __init__(self, item: Any, reason: str | None = None) -> None:
        shown = repr(item) if isinstance(item, str) else f"a {type(item).__name__}"
        super().__init__(item if reason is None else f"the input {shown} cannot be used: {reason}")
        self.item = item

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.__dict__
        try:
            pickle.dumps(self.item)
        except Exception:  # noqa: BLE001  # objects raise anything from their __reduce__
            state = {**state, "item": repr(self.item)}
        return type(self), self.args, state
