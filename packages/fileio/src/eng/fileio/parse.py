"""Reads lists and dictionaries from plain text files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from eng.fileio._objects import BackendArgs, merged_args
from eng.fileio._uri import PathLike, text_of
from eng.fileio.errors import ParseError, WordsError
from eng.fileio.io import get_text

__all__ = ["dict_from_file", "list_from_file"]


def list_from_file(
    filename: PathLike,
    prefix: str = "",
    offset: int = 0,
    max_num: int = 0,
    encoding: str = "utf-8",
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
) -> list[str]:
    r"""Returns the lines of a text file without line ends.

    Args:
        filename: a path or URI.
        prefix: text to put before every line.
        offset: number of lines to skip at the start.
        max_num: largest number of lines to return; 0 or less returns all.
        encoding: encoding of the file.
        file_client_args: deprecated name of `backend_args`.
        backend_args: arguments for the storage backend.

    Raises:
        ParseError: the file has another encoding; the message names file and line.

    Example:
        >>> from eng.fileio import put_text
        >>> put_text("a\nb\nc\n", "memory://docs/a.txt")
        >>> list_from_file("memory://docs/a.txt", prefix="/mnt/", offset=1, max_num=1)
        ['/mnt/b']
    """
    lines = _lines(filename, encoding, merged_args(file_client_args, backend_args))
    stop = None
    if max_num > 0:
        stop = offset + max_num
    return [prefix + line for index, line in enumerate(lines) if index >= offset and (stop is None or index < stop)]


def dict_from_file(
    filename: PathLike,
    key_type: Callable[[str], Any] = str,
    encoding: str = "utf-8",
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
) -> dict[Any, Any]:
    r"""Reads a dictionary from a text file. The first word of each line is the key, the other words are the value.

    A single word is stored as a string, several words as a list.

    Args:
        filename: a path or URI.
        key_type: converts the first word to a key, such as ``int``.
        encoding: encoding of the file.
        file_client_args: deprecated name of `backend_args`.
        backend_args: arguments for the storage backend.

    Raises:
        ParseError: a line has no value, `key_type` raises ValueError for the key of a line, or the file has another
            encoding; the message names file and line.

    Example:
        >>> from eng.fileio import put_text
        >>> put_text("1 cat\n2 dog cow\n", "memory://docs/b.txt")
        >>> dict_from_file("memory://docs/b.txt", key_type=int)
        {1: 'cat', 2: ['dog', 'cow']}
    """
    mapping: dict[Any, Any] = {}
    for number, line in enumerate(_lines(filename, encoding, merged_args(file_client_args, backend_args)), 1):
        columns = line.split()
        if len(columns) < 2:
            raise WordsError.at(text_of(filename), number, None, f"expected a key and a value, got {line!r}")
        try:
            key = key_type(columns[0])
        except ValueError as error:
            raise ParseError.at(
                text_of(filename), number, None, f"cannot use {columns[0]!r} as a key: {error}"
            ) from error
        if len(columns) > 2:
            mapping[key] = columns[1:]
        else:
            mapping[key] = columns[1]
    return mapping


def _lines(filename: PathLike, encoding: str, backend_args: BackendArgs) -> Iterator[str]:
    """Reads a text file and returns its lines without line ends; a wrong encoding raises ParseError."""
    try:
        text = get_text(filename, encoding, backend_args=backend_args)
    except UnicodeDecodeError as error:
        raise ParseError.not_utf8(
            text_of(filename), error, "the text", "give its encoding, such as encoding='latin-1'"
        ) from error
    return (line.rstrip("\n\r") for line in io.StringIO(text))
