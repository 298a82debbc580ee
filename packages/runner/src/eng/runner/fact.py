"""Attributes of a class in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def fact(read: Callable[[Any], T], doc: str) -> T:
    """A property whose value is read from the parts of its object.

    Args:
        read: gives the value for an object.
        doc: what the value is.

    Example:
        >>> class Run:
        ...     done = [1, 2]
        ...     count: int = fact(lambda run: len(run.done), "Steps that are over.")
        >>> Run().count, Run.count.__doc__
        (2, 'Steps that are over.')
    """
    return property(read, doc=doc)  # type: ignore[return-value]  # on an object the attribute is the value


def part(name: str, doc: str) -> Any:
    """A property for a :class:`~eng.runner.lazy.Lazy` part: reads the part or its setting, and takes another one.

    Args:
        name: the attribute that holds the Lazy.
        doc: what the part is.
    """

    def read(run: object) -> Any:
        return getattr(run, name).peek()

    def assign(run: object, value: object) -> None:
        getattr(run, name).replace(value)

    return property(read, assign, doc=doc)
