"""Adapts loops of users and libraries that do not derive from BaseLoop."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any, cast

from .base import BaseLoop


def as_base_loop(loop: object) -> BaseLoop:
    """Returns a loop that has every member of :class:`BaseLoop`.

    A Runner reads positions, counters and sets of its loops. A loop that does not derive from BaseLoop may lack some of these
    members; they are then BaseLoop's defaults.

    Args:
        loop: a loop of any class.

    Returns:
        ``loop`` itself where it derives from BaseLoop, else a view of it: attributes are read from and set on ``loop``.

    Example:
        >>> class Twice:
        ...     max_epochs = 2
        ...     def run(self):
        ...         return "done"
        >>> view = as_base_loop(Twice())
        >>> view.max_epochs, view.is_validating, view.run()
        (2, False, 'done')
    """
    if isinstance(loop, BaseLoop):
        return loop
    return cast("BaseLoop", _View(loop))


_MISSING = object()
# BaseLoop's public members but `run` and `runner`, which every loop must define itself.
_DEFAULTS = {
    name: member
    for name, member in vars(BaseLoop).items()
    if not name.startswith("_") and name not in ("run", "runner")
}


class _View:
    """Passes attributes on to a loop, and falls back to BaseLoop's members that the loop lacks."""

    __slots__ = ("_viewed",)
    _viewed: object

    def __init__(self, loop: object) -> None:
        object.__setattr__(self, "_viewed", loop)

    def __getattr__(self, name: str) -> Any:
        if name not in _DEFAULTS:
            return getattr(self._viewed, name)
        default = _DEFAULTS[name]
        answer = getattr(self._viewed, name, _MISSING)
        # A loop may use a method's name for a plain value, such as a number called `position`: then the default is used.
        if answer is not _MISSING and (callable(answer) or not inspect.isfunction(default)):
            return answer
        if isinstance(default, (FunctionType, property)):
            return default.__get__(self, BaseLoop)
        return default

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._viewed, name, value)
