"""Order among hooks."""

from __future__ import annotations

from enum import Enum


class Priority(Enum):
    """Named places in the order of hooks: 0 acts first, 100 last."""

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
    """A name that no priority has."""

    # KeyError shows the repr of its argument, which turns a sentence into a quoted string.
    __str__ = Exception.__str__


def get_priority(priority: int | str | Priority) -> int:
    """The number of a priority given as a number, a name in any case, or a :class:`Priority`.

    Raises:
        ValueError: a number outside 0 to 100.
        UnknownPriorityError: an unknown name (a ValueError and a KeyError).
        TypeError: something else.

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
    """The name of a priority, or its number where no name has it."""
    value = get_priority(priority)
    return next((level.name for level in Priority if level.value == value), str(value))
