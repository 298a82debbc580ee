"""The base class of storage backends."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any

__all__ = ["BaseStorageBackend"]


class BaseStorageBackend(metaclass=ABCMeta):
    """Base class of all storage backends, which can at least read bytes and text.

    A backend defines further methods of :mod:`eng.fileio.backends.protocols` as far as its storage supports them; the
    functions of :mod:`eng.fileio` raise an error that names a missing method. One instance is shared by all calls with
    the same arguments in a process. It must be picklable and open its client at the first use.

    Example:
        >>> class Constant(BaseStorageBackend):
        ...     def get(self, filepath):
        ...         return b"1"
        ...     def get_text(self, filepath, encoding="utf-8"):
        ...         return "1"
        >>> Constant().name, Constant().allow_symlink
        ('Constant', False)
    """

    _allow_symlink = False

    @property
    def allow_symlink(self) -> bool:
        """Whether the storage supports symbolic links."""
        return self._allow_symlink

    @property
    def name(self) -> str:
        """Name of the backend class."""
        return type(self).__name__

    # The types are Any because existing subclasses of users declare these two methods in many ways.
    @abstractmethod
    def get(self, filepath: Any) -> Any:
        """Returns the content of a file as bytes."""

    @abstractmethod
    def get_text(self, filepath: Any) -> Any:
        """Returns the content of a file as text."""
