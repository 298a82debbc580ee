"""From a hook point to the bound methods that really act there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any, Protocol, runtime_checkable

from eng.hooks.hook import POINTS, Hook, is_own, overrides

Listener = Callable[..., None]


@runtime_checkable
class MayBeIdle(Protocol):
    """A hook that knows, as it is set up, points at which it has nothing to do."""

    def is_idle(self, point: str) -> bool:
        """Whether it need not be called at ``point``; asked when a run first comes there."""


class Dispatcher(dict[str, tuple[Listener, ...]]):
    """``dispatcher[point]`` is what to call at a point, worked out at the first use and kept.

    Args:
        hooks: the run's hooks in their order; the list may grow, which :meth:`forget` makes known.

    Example:
        >>> class Shout(Hook):
        ...     def before_train(self, runner): ...
        >>> dispatcher = Dispatcher([Shout(), Hook()])
        >>> len(dispatcher["before_train"]), len(dispatcher["after_train"])
        (1, 0)
    """

    def __init__(self, hooks: list[Hook]) -> None:
        super().__init__()
        self._hooks = hooks
        self._first: dict[str, list[Listener]] = {}
        self._last: dict[str, list[Listener]] = {}
        self._changes = 0

    def __missing__(self, point: str) -> tuple[Listener, ...]:
        changes = self._changes
        own = (_listener(hook, point) for hook in self._hooks if _acts(hook, point))
        found = (*self._first.get(point, ()), *own, *self._last.get(point, ()))
        self[point] = found
        if changes != self._changes:  # the handler of a signal came in between, and after it what was found is kept
            self.pop(point, None)
            return self[point]
        return found

    def call_first(self, point: str, listener: Listener) -> None:
        """Calls ``listener`` at ``point`` too, before every hook."""
        self._first.setdefault(point, []).append(listener)
        self.forget()

    def call_last(self, point: str, listener: Listener) -> None:
        """Calls ``listener`` at ``point`` too, after every hook."""
        self._last.setdefault(point, []).append(listener)
        self.forget()

    def forget(self) -> None:
        """Works everything out anew at the next use."""
        self._changes += 1
        self.clear()


def _acts(hook: Hook, point: str) -> bool:
    if point not in POINTS:
        return callable(getattr(hook, point, None))
    return overrides(hook, point) and not (isinstance(hook, MayBeIdle) and hook.is_idle(point))


def _listener(hook: Hook, point: str) -> Listener:
    """What to call for ``hook``: its method or, in an iteration, the one behind it at once where only that is its own."""
    behind = POINTS.get(point)
    if behind is None or not behind.endswith("_iter") or is_own(hook, point):
        method: Listener = getattr(hook, point)
        return method
    method, mode = getattr(hook, behind), point.split("_")[1]
    by_default = signature(method).parameters.get("mode")
    return method if by_default is not None and by_default.default == mode else partial(method, mode=mode)


def owner_name(listener: Listener) -> str:
    """Whose method ``listener`` is, for messages."""
    owner: Any = getattr(getattr(listener, "func", listener), "__self__", None)
    return type(owner).__name__ if owner is not None else getattr(listener, "__qualname__", repr(listener))
