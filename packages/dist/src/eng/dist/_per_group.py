"""A table of values by process group, whose entries disappear with the group."""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

from torch.distributed import ProcessGroup

_V = TypeVar("_V")


class PerGroup(Generic[_V]):
    """Stores a value for each process group; the value is deleted when the group is destroyed."""

    def __init__(self) -> None:
        self._values: weakref.WeakKeyDictionary[ProcessGroup, _V] = weakref.WeakKeyDictionary()

    def get(self, group: ProcessGroup) -> _V | None:
        """Returns the value that was set for a process group; None if no value was set."""
        return self._values.get(group)

    def set(self, group: ProcessGroup, value: _V | None) -> None:
        """Sets the value of a process group; None deletes it."""
        if value is None:
            self._values.pop(group, None)
        else:
            self._values[group] = value

    def clear(self) -> None:
        """Deletes the values of all process groups."""
        self._values.clear()
