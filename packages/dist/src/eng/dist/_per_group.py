"""Values that live as long as the process group they belong to."""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

from torch.distributed import ProcessGroup

_V = TypeVar("_V")


class PerGroup(Generic[_V]):
    """A value per process group, forgotten when the group is destroyed, so that the next group starts anew."""

    def __init__(self) -> None:
        self._values: weakref.WeakKeyDictionary[ProcessGroup, _V] = weakref.WeakKeyDictionary()

    def get(self, group: ProcessGroup) -> _V | None:
        """The value of `group`; None where it has none."""
        return self._values.get(group)

    def set(self, group: ProcessGroup, value: _V | None) -> None:
        """Gives `group` a value; None takes it away."""
        if value is None:
            self._values.pop(group, None)
        else:
            self._values[group] = value

    def clear(self) -> None:
        """Forgets all values, so that they are made anew."""
        self._values.clear()
