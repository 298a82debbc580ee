"""Instances of a class that anybody in the process can reach by name."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections import OrderedDict
from typing import Any, TypeVar

from .errors import UsageTypeError, UsageValueError

__all__ = ["ManagerMeta", "ManagerMixin"]

T = TypeVar("T", bound="ManagerMixin")


class ManagerMeta(type):
    """Gives every class its own instances and its own lock, so that subclasses do not share names.

    Raises:
        TypeError: the class defines an ``__init__`` without an argument ``name``.
    """

    def __init__(cls, *args: Any) -> None:
        super().__init__(*args)
        cls._instance_dict: OrderedDict[str, Any] = OrderedDict()
        cls._released: list[Any] = []
        # Reentrant: building one named instance may ask for another of the same class.
        cls._instance_lock = threading.RLock()
        init = cls.__dict__.get("__init__")
        if init is not None and "name" not in inspect.signature(init).parameters:
            raise UsageTypeError(
                f"{cls.__module__}.{cls.__qualname__}.__init__ needs an argument 'name', by which get_instance finds the instance"
            )


class ManagerMixin(metaclass=ManagerMeta):
    """Named instances of a class, reachable from anywhere in the process.

    A subclass takes ``name`` and hands it to ``super().__init__(name)``. Creating and finding are thread-safe: two
    threads that ask for the same new name get the same instance, built once.

    Args:
        name: under which the instance is found; not empty.

    Raises:
        ValueError: `name` is empty or not a string.

    Examples:
        >>> class Board(ManagerMixin):
        ...     def __init__(self, name, value=0):
        ...         super().__init__(name)
        ...         self.value = value
        >>> Board.get_instance("first", value=50).value
        50
        >>> Board.get_current_instance().instance_name
        'first'
    """

    def __init__(self, name: str = "", **kwargs: Any) -> None:
        if not isinstance(name, str) or not name:
            raise UsageValueError(f"{type(self).__name__} needs a name that is a string and not empty, not {name!r}")
        self._instance_name = name

    @classmethod
    def get_instance(cls: type[T], name: str, **kwargs: Any) -> T:
        """The instance called `name`, created with `kwargs` if there is none.

        Args:
            name: of the instance.
            **kwargs: for the constructor of a new instance; an instance that exists is returned as it is, with a
                warning that they have no effect.

        Raises:
            TypeError: `name` is not a string.
        """
        if not isinstance(name, str):
            raise UsageTypeError(f"{cls.__name__}.get_instance needs a name that is a string, not {name!r}")
        with cls._instance_lock:
            instance: T | None = cls._instance_dict.get(name)
            if instance is None:
                instance = cls._instance_dict[name] = cls(name=name, **kwargs)
                for released in cls._take_released():
                    released.release()
            elif kwargs:
                names = ", ".join(map(repr, kwargs))
                verb = "has"
                if len(kwargs) > 1:
                    verb = "have"
                warnings.warn(
                    f"{cls.__name__} {name!r} exists already; {names} {verb} no effect on it", UserWarning, stacklevel=2
                )
            return instance

    @classmethod
    def get_current_instance(cls: type[T]) -> T:
        """The instance created last.

        Raises:
            RuntimeError: none was created yet.
        """
        with cls._instance_lock:
            if not cls._instance_dict:
                raise RuntimeError(
                    f"there is no {cls.__name__} yet; create one by {cls.__name__}.get_instance(name, ...)"
                )
            instance: T = next(reversed(cls._instance_dict.values()))
            return instance

    @classmethod
    def make_current(cls, name: str) -> str | None:
        """Makes an instance the current one, as if it had been created last.

        Args:
            name: of the instance; nothing happens where there is none.

        Returns:
            The name of the one that was current; None where there was none.
        """
        with cls._instance_lock:
            before: str | None = next(reversed(cls._instance_dict), None)
            if name in cls._instance_dict:
                cls._instance_dict.move_to_end(name)
            return before

    def release(self) -> None:
        """Makes the class forget this instance, whose owner is gone: at once or, if it is current, when the next is made."""
        cls = type(self)
        with cls._instance_lock:
            if cls._instance_dict.get(self._instance_name) is not self:
                return
            if next(reversed(cls._instance_dict)) == self._instance_name:
                cls._released.append(self)
            else:
                del cls._instance_dict[self._instance_name]

    @classmethod
    def _take_released(cls) -> list[Any]:
        released, cls._released = cls._released, []
        return released

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Whether there is an instance called `name`."""
        return name in cls._instance_dict

    @property
    def instance_name(self) -> str:
        """Name of this instance."""
        return self._instance_name
