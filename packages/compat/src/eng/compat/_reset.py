"""Deletes all named global instances, such as loggers and message hubs, so that tests do not influence each other."""

from __future__ import annotations

import importlib.util
import logging
from typing import Any


def reset_global_state() -> None:
    """Deletes all global objects that are found by name, so that tests do not influence each other.

    These are the instances of all subclasses of `eng.registry.ManagerMixin`, also of subclasses in other libraries:
    loggers (after closing their handlers), message hubs, visualizers, registry scopes and so on.

    Example:
        >>> reset_global_state()
    """
    if importlib.util.find_spec("eng.registry") is None:
        return
    from eng.registry import ManagerMixin

    for managed in (ManagerMixin, *_below(ManagerMixin)):
        instances: dict[str, Any] = vars(managed).get("_instance_dict", {})
        for instance in list(instances.values()):
            _close(instance)
        instances.clear()
    _leave_scope()


def _below(cls: type[Any]) -> list[type[Any]]:
    """Returns all direct and indirect subclasses of a class."""
    subclasses: list[type[Any]] = cls.__subclasses__()
    return [descendant for child in subclasses for descendant in (child, *_below(child))]


def _close(instance: Any) -> None:
    """Closes a named instance: the handlers of a logger, or the instance itself if it has a method ``close``."""
    if isinstance(instance, logging.Logger):
        for handler in list(instance.handlers):
            instance.removeHandler(handler)
            handler.close()
    elif hasattr(instance, "close"):
        instance.close()


def _leave_scope() -> None:
    from eng.registry import DefaultScope

    DefaultScope.reset()
