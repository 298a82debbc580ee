"""The contract of a file format."""

# os functions take str and PathLike alike, and at a third of the cost of a Path.
# ruff: noqa: PTH123

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

from eng.fileio._atomic import atomic_write
from eng.fileio._uri import PathLike

__all__ = ["BaseFileHandler"]


class BaseFileHandler(metaclass=ABCMeta):
    r"""Reads and writes objects in one format.

    A subclass defines the three abstract methods; :func:`eng.fileio.register_handler` makes it known by suffix.
    `str_like` tells whether the format is text: its file objects then are text files, else binary ones.

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
        """The object in an open file."""

    @abstractmethod
    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> Any:
        """Writes an object to an open file."""

    @abstractmethod
    def dump_to_str(self, obj: Any, **kwargs: Any) -> Any:
        """The object as a string, bytes where the format is binary."""

    def load_from_path(self, filepath: PathLike, mode: str = "r", **kwargs: Any) -> Any:
        """The object in a local file; text is UTF-8, with or without a byte-order mark."""
        with open(filepath, mode, encoding=None if "b" in mode else "utf-8-sig") as file:
            return self.load_from_fileobj(file, **kwargs)

    def dump_to_path(self, obj: Any, filepath: PathLike, mode: str = "w", **kwargs: Any) -> None:
        """Writes an object to a local file, atomically; text is UTF-8."""
        with atomic_write(filepath, mode) as file:
            self.dump_to_fileobj(obj, file, **kwargs)

    def can_run_code(self, options: Mapping[str, Any]) -> bool:
        """Whether a file can run code while it is loaded with these options; ``load(trust=False)`` then refuses."""
        return False


def name_of(file: Any) -> str:
    """What to call an open file in a message."""
    name = getattr(file, "name", None)
    if isinstance(name, str):
        return name
    return "<stream>"
