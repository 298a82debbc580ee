"""The base class of storage backends."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any

__all__ = ["BaseStorageBackend"]


class BaseStorageBackend(metaclass=ABCMeta):
    """Base class of all storage backends, which can at least read bytes and text.

    A backend defines further methods of :mod:`eng.fileio.backends.protocols` as far as its storage supports them. If a
    function of :mod:`eng.fileio` needs a method that the backend lacks, it raises an error that names the method. All
    calls in a process with the same backend arguments share one instance. The instance must be picklable, so it should
    connect to the storage at the first use, not in the constructor.

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

    # `get` and `get_text` are annotated with Any, because existing subclasses of users annotate them in many ways.
    @abstractmethod
    def get(self, filepath: Any) -> Any:
        """Returns the content of a file as bytes."""

    @abstractmethod
    def get_text(self, filepath: Any) -> Any:
        """Returns the content of a file as text."""
