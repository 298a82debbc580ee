"""`ManagerMixin`: named instances of a class, which any code in the process can get by name."""

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
    """Metaclass of `ManagerMixin`: gives each class its own dict of instances and its own lock.

    Two subclasses can therefore use the same instance name.

    Raises:
        TypeError: the class defines an ``__init__`` without an argument ``name``.
    """

    def __init__(cls, *args: Any) -> None:
        super().__init__(*args)
        cls._instance_dict: OrderedDict[str, Any] = OrderedDict()
        cls._released: list[Any] = []
        # The lock is reentrant because the constructor of an instance may call `get_instance` of the same class.
        cls._instance_lock = threading.RLock()
        init = cls.__dict__.get("__init__")
        if init is not None and "name" not in inspect.signature(init).parameters:
            raise UsageTypeError(
                f"{cls.__module__}.{cls.__qualname__}.__init__ needs an argument 'name', by which get_instance finds the instance"
            )


class ManagerMixin(metaclass=ManagerMeta):
    """Base class for classes with named instances, which any code in the process can get by name.

    The constructor of a subclass takes ``name`` and calls ``super().__init__(name)``. `get_instance` is thread-safe:
    two threads that ask for the same new name get the same instance, which is created once.

    Args:
        name: non-empty name of the instance.

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
        """Returns the instance with this name; creates it if it does not exist.

        Args:
            name: name of the instance.
            **kwargs: arguments for the constructor of a new instance. If the instance exists, the arguments have no
                effect, and a warning is logged.

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
        """Returns the current instance: the one created last, or selected by `make_current`.

        Raises:
            RuntimeError: no instance has been created.
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
        """Makes an instance the current one, so that `get_current_instance` returns it.

        Args:
            name: name of the instance; if no instance has this name, nothing changes.

        Returns:
            The name of the instance that was current before; None if there were no instances.
        """
        with cls._instance_lock:
            before: str | None = next(reversed(cls._instance_dict), None)
            if name in cls._instance_dict:
                cls._instance_dict.move_to_end(name)
            return before

    def release(self) -> None:
        """Removes this instance from the class, so that its memory can be freed.

        If this instance is the current one, it is removed only when the next instance is created. Until then,
        `get_current_instance` returns it.
        """
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
        """Whether an instance with this name exists."""
        return name in cls._instance_dict

    @property
    def instance_name(self) -> str:
        """Name under which `get_instance` returns this instance."""
        return self._instance_name
