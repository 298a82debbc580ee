"""The contract of a storage backend."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any

__all__ = ["BaseStorageBackend"]


class BaseStorageBackend(metaclass=ABCMeta):
    """Base of every backend: it reads bytes and text.

    Further abilities are the methods of :mod:`eng.fileio.backends.protocols`; a backend defines those that it has, and
    the public functions say clearly which one is missing. An instance is made once per process and arguments, must
    pickle, and opens its client on first use.

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
        """Whether the storage has symbolic links."""
        return self._allow_symlink

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self).__name__

    # Any: subclasses in the wild narrow and widen these two signatures freely.
    @abstractmethod
    def get(self, filepath: Any) -> Any:
        """Content of a file as bytes."""

    @abstractmethod
    def get_text(self, filepath: Any) -> Any:
        """Content of a file as text."""
