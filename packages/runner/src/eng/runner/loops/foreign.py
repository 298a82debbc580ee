"""Adapts loop classes of users and libraries that do not derive from BaseLoop, so that a Runner can use them."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any, cast

from .base import BaseLoop


def as_base_loop(loop: object) -> BaseLoop:
    """Returns a loop that has every member of :class:`BaseLoop`.

    A Runner reads positions, counters and datasets from its loops. If a loop that does not derive from BaseLoop lacks
    such a member, the member of BaseLoop is used instead.

    Args:
        loop: a loop of any class.

    Returns:
        ``loop`` itself if it derives from BaseLoop. Otherwise an object that reads and sets all attributes on ``loop``,
        and adds the members of BaseLoop that ``loop`` lacks.

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
# The public members of BaseLoop, except `run` and `runner`: every loop class must define these two itself.
_DEFAULTS = {
    name: member
    for name, member in vars(BaseLoop).items()
    if not name.startswith("_") and name not in ("run", "runner")
}


class _View:
    """Reads and sets attributes on a loop of any class; members that the loop lacks are those of BaseLoop."""

    __slots__ = ("_viewed",)
    _viewed: object

    def __init__(self, loop: object) -> None:
        object.__setattr__(self, "_viewed", loop)

    def __getattr__(self, name: str) -> Any:
        """Returns an attribute of the loop; a public member of BaseLoop that the loop lacks is taken from BaseLoop."""
        if name not in _DEFAULTS:
            return getattr(self._viewed, name)
        default = _DEFAULTS[name]
        answer = getattr(self._viewed, name, _MISSING)
        # A loop may have a plain value, such as a number called `position`, where BaseLoop has a method: then
        # BaseLoop's method is used.
        if answer is not _MISSING and (callable(answer) or not inspect.isfunction(default)):
            return answer
        if isinstance(default, (FunctionType, property)):
            return default.__get__(self, BaseLoop)
        return default

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._viewed, name, value)
