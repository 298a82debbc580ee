"""Loops of users and libraries that do not derive from BaseLoop."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any, cast

from .base import BaseLoop


def as_base_loop(loop: object) -> BaseLoop:
    """A loop with every member of :class:`BaseLoop`.

    A run asks its loops for positions, counters and sets. A loop that does not derive from BaseLoop may answer some of these
    questions; BaseLoop's defaults answer the others.

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
# What a run asks of a loop; `run` and the attributes that begin with "_" are the loop's own.
_DEFAULTS = {
    name: member
    for name, member in vars(BaseLoop).items()
    if not name.startswith("_") and name not in ("run", "runner")
}


class _View:
    """A loop, with BaseLoop's members where it has none of that name."""

    __slots__ = ("_viewed",)
    _viewed: object

    def __init__(self, loop: object) -> None:
        object.__setattr__(self, "_viewed", loop)

    def __getattr__(self, name: str) -> Any:
        if name not in _DEFAULTS:
            return getattr(self._viewed, name)
        default = _DEFAULTS[name]
        answer = getattr(self._viewed, name, _MISSING)
        # An attribute that only shares its name with a method, such as a number called `position`, answers nothing.
        if answer is not _MISSING and (callable(answer) or not inspect.isfunction(default)):
            return answer
        if isinstance(default, (FunctionType, property)):
            return default.__get__(self, BaseLoop)
        return default

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._viewed, name, value)
