"""The base class of the handlers of file formats."""

# `open` is used, because it takes a third of the time of `pathlib.Path.open`.
# ruff: noqa: PTH123

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

from eng.fileio._atomic import atomic_write
from eng.fileio._uri import PathLike

__all__ = ["BaseFileHandler"]


class BaseFileHandler(metaclass=ABCMeta):
    r"""Reads and writes Python objects in one file format.

    A subclass defines the three abstract methods and is registered for a file suffix by
    :func:`eng.fileio.register_handler`. Its class attribute `str_like` says whether these methods get files that are
    open in text mode (True) or in binary mode (False).

    Example:
        >>> class Lines(BaseFileHandler):
        ...     def load_from_fileobj(self, file, **kwargs):
        ...         return file.read().splitlines()
        ...     def dump_to_fileobj(self, obj, file, **kwargs):
        ...         file.write(self.dump_to_str(obj))
        ...     def dump_to_str(self, obj, **kwargs):
        ...         return "".join(f"{line}\n" for line in obj)
        >>> Lines().dump_to_str(["a", "b"])
        'a\nb\n'
    """

    str_like = True

    @abstractmethod
    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Reads the object in an open file."""

    @abstractmethod
    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> Any:
        """Writes an object to an open file."""

    @abstractmethod
    def dump_to_str(self, obj: Any, **kwargs: Any) -> Any:
        """Returns the object as a string; as bytes for a binary format."""

    def load_from_path(self, filepath: PathLike, mode: str = "r", **kwargs: Any) -> Any:
        """Reads the object in a local file; text must be UTF-8, with or without a byte-order mark."""
        with open(filepath, mode, encoding=None if "b" in mode else "utf-8-sig") as file:
            return self.load_from_fileobj(file, **kwargs)

    def dump_to_path(self, obj: Any, filepath: PathLike, mode: str = "w", **kwargs: Any) -> None:
        """Writes an object to a local file, atomically; text is UTF-8."""
        with atomic_write(filepath, mode) as file:
            self.dump_to_fileobj(obj, file, **kwargs)

    def can_run_code(self, options: Mapping[str, Any]) -> bool:
        """Whether loading a file with these options can execute code; ``load(trust=False)`` refuses such formats."""
        return False


def name_of(file: Any) -> str:
    """Returns the name of an open file for messages; ``"<stream>"`` if it has none."""
    name = getattr(file, "name", None)
    if isinstance(name, str):
        return name
    return "<stream>"
