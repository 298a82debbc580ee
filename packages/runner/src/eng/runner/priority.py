"""Priority: the order in which hooks are called."""

from __future__ import annotations

from enum import Enum


class Priority(Enum):
    """Names for priorities of hooks: a hook with priority 0 is called first, one with 100 last."""

    HIGHEST = 0
    VERY_HIGH = 10
    HIGH = 30
    ABOVE_NORMAL = 40
    NORMAL = 50
    BELOW_NORMAL = 60
    LOW = 70
    VERY_LOW = 90
    LOWEST = 100


class UnknownPriorityError(ValueError, KeyError):
    """The name of a priority is unknown."""

    # KeyError shows the repr of its argument, which turns a sentence into a quoted string.
    __str__ = Exception.__str__


def get_priority(priority: int | str | Priority) -> int:
    """Returns the number of a priority, which may be a number, a name in upper or lower case, or a :class:`Priority`.

    Raises:
        ValueError: the number is not between 0 and 100.
        UnknownPriorityError: the name is unknown (a ValueError and a KeyError).
        TypeError: ``priority`` is none of these.

    Example:
        >>> get_priority("very_low")
        90
    """
    if isinstance(priority, Priority):
        return priority.value
    if isinstance(priority, str):
        if priority.upper() not in Priority.__members__:
            raise UnknownPriorityError(
                f"unknown priority {priority!r}; the names are {', '.join(Priority.__members__)}"
            )
        return Priority[priority.upper()].value
    if isinstance(priority, int):
        if not 0 <= priority <= 100:
            raise ValueError(f"priority must be between 0 and 100, got {priority}")
        return priority
    raise TypeError(f"a priority is an int, a name or a Priority, got {type(priority).__name__}")


def priority_name(priority: int | str | Priority) -> str:
    """Returns the name of a priority, or its number if it has no name."""
    value = get_priority(priority)
    return next((level.name for level in Priority if level.value == value), str(value))
