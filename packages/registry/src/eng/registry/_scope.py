"""`DefaultScope`, the scope in which registries look up names first."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ._manager import ManagerMixin
from .errors import UsageTypeError

__all__ = ["DefaultScope", "init_default_scope"]

_LOGGER = logging.getLogger(__name__)
_CURRENT: ContextVar[DefaultScope | None] = ContextVar("eng_default_scope")
_SERIAL = itertools.count()


class DefaultScope(ManagerMixin):
    """The scope in which registries look up names first, such as ``"mmdet"``.

    Setting the default scope affects only the current thread or asyncio task. A thread that never set a scope uses the
    scope that was created last in any thread of the process.

    Args:
        name: name of the instance, usually the name of the experiment.
        scope_name: the scope, such as ``"mmdet"``.

    Raises:
        TypeError: `scope_name` is not a string.

    Examples:
        >>> with DefaultScope.overwrite_default_scope("mmdet"):
        ...     DefaultScope.get_current_instance().scope_name
        'mmdet'
    """

    def __init__(self, name: str, scope_name: str) -> None:
        super().__init__(name)
        if not isinstance(scope_name, str):
            raise UsageTypeError(f"scope_name should be a string, but got {scope_name!r}")
        self._scope_name = scope_name

    @property
    def scope_name(self) -> str:
        """Name of the scope, such as ``"mmdet"``."""
        return self._scope_name

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> DefaultScope:
        """Returns the instance with this name.

        If there is none, it is created, and becomes the current scope of this thread or task.
        """
        with cls._instance_lock:
            is_new = name not in cls._instance_dict
            instance = super().get_instance(name, **kwargs)
        if is_new:
            _CURRENT.set(instance)
        return instance

    @classmethod
    def get_current_instance(cls) -> DefaultScope | None:  # type: ignore[override]  # no scope is a valid state
        """Returns the current scope of this thread or task.

        If the thread never set a scope, returns the scope created last in the process; None if there is no scope.
        """
        try:
            return _CURRENT.get()
        except LookupError:
            return next(reversed(cls._instance_dict.values()), None)

    @classmethod
    @contextmanager
    def isolated(cls) -> Iterator[None]:
        """Starts a ``with`` block without any scope and restores the earlier scopes at its end. Meant for tests."""
        before = cls._instance_dict
        cls._instance_dict = type(before)()
        token = _CURRENT.set(None)
        try:
            yield
        finally:
            _CURRENT.reset(token)
            cls._instance_dict = before

    @classmethod
    def reset(cls) -> None:
        """Deletes all scopes, and the current scope of this thread.

        Threads that never set a scope have no current scope afterwards. A thread that has set a scope keeps this scope
        as its current scope.
        """
        with cls._instance_lock:
            cls._instance_dict.clear()
            _CURRENT.set(None)

    @classmethod
    @contextmanager
    def overwrite_default_scope(cls, scope_name: str | None) -> Iterator[None]:
        """Makes `scope_name` the current scope of this thread or task inside a ``with`` block; None changes nothing."""
        if scope_name is None:
            yield
            return
        token = _CURRENT.set(cls(f"overwrite-{next(_SERIAL)}", scope_name))
        try:
            yield
        finally:
            _CURRENT.reset(token)


def init_default_scope(scope: str) -> None:
    """Makes `scope` the scope in which registries look up names first, in this thread or asyncio task.

    A change from another scope is logged as a warning.

    Args:
        scope: name of the scope, such as ``"mmdet"``.

    Examples:
        >>> init_default_scope("mmdet")
        >>> DefaultScope.get_current_instance().scope_name
        'mmdet'
    """
    current = DefaultScope.get_current_instance()
    if current is not None and current.scope_name == scope:
        return
    if current is not None:
        _LOGGER.warning("the default scope changes from %r to %r", current.scope_name, scope)
    _CURRENT.set(DefaultScope.get_instance(scope, scope_name=scope))
