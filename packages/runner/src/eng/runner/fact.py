"""Properties in one line: read from other parts of an object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def fact(read: Callable[[Any], T], doc: str) -> T:
    """Makes a read-only property.

    Args:
        read: function of the object that returns the value.
        doc: docstring of the property.

    Example:
        >>> class Run:
        ...     done = [1, 2]
        ...     count: int = fact(lambda run: len(run.done), "Steps that are over.")
        >>> Run().count, Run.count.__doc__
        (2, 'Steps that are over.')
    """
    return property(read, doc=doc)  # type: ignore[return-value]  # an object's attribute has the type T


def part(name: str, doc: str) -> Any:
    """Makes a property for a part that a :class:`~eng.runner.lazy.Lazy` builds at its first use.

    Reading the property never builds the part: before the part is built, the property returns the part's setting,
    usually a config. Assigning a new setting replaces the part.

    Args:
        name: the attribute that holds the :class:`~eng.runner.lazy.Lazy`.
        doc: docstring of the property.
    """

    def read(run: object) -> Any:
        return getattr(run, name).peek()

    def assign(run: object, value: object) -> None:
        getattr(run, name).replace(value)

    return property(read, assign, doc=doc)
