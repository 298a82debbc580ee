"""Exceptions of inference."""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["InputError"]


class InputError(ValueError):
    """The pipeline returned None for an input, so that there is nothing to run the model on.

    Attributes:
        item: the input. If the error was pickled, for example to be raised in another process, and the input cannot be
            pickled: the repr of the input.
    """

    def __init__(self, item: Any, reason: str | None = None) -> None:
        message = item
        if reason is not None:
            shown = f"a {type(item).__name__}"
            if isinstance(item, str):
                shown = repr(item)
            message = f"the input {shown} cannot be used: {reason}"
        super().__init__(message)
        self.item = item

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.__dict__
        try:
            pickle.dumps(self.item)
        except Exception:  # noqa: BLE001  # the __reduce__ of an object may raise any exception
            state = {**state, "item": repr(self.item)}
        return type(self), self.args, state
