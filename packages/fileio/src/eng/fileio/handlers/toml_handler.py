"""The handler of TOML files, which can only read."""

from __future__ import annotations

import re
import sys
from typing import Any

from eng.fileio._text import without_mark
from eng.fileio.errors import ParseError, UnsupportedOperationError
from eng.fileio.handlers.base import BaseFileHandler, name_of

__all__ = ["TomlHandler"]


class TomlHandler(BaseFileHandler):
    r"""Reads TOML 1.0 with the parser of the standard library; writing is not supported.

    Example:
        >>> import io
        >>> TomlHandler().load_from_fileobj(io.StringIO("[model]\ndepth = 50"))
        {'model': {'depth': 50}}
    """

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Reads an open file into a dict; `kwargs` are passed to ``tomllib.loads``.

        Raises:
            ParseError: the file is malformed; the message names file, line and column.
        """
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
        try:
            content = file.read()
            text = content
            if isinstance(content, bytes):
                text = content.decode()
            return tomllib.loads(without_mark(text), **kwargs)
        except tomllib.TOMLDecodeError as error:
            position = re.search(r"line (\d+), column (\d+)", str(error))
            if position:
                line, column = int(position[1]), int(position[2])
            else:
                line, column = None, None
            raise ParseError.at(name_of(file), line, column, f"malformed TOML: {error}") from error
        except UnicodeDecodeError as error:
            raise ParseError.not_utf8(name_of(file), error, "TOML") from error

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Always raises UnsupportedOperationError."""
        raise UnsupportedOperationError("toml is read only; dump to json or yaml")

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Always raises UnsupportedOperationError."""
        raise UnsupportedOperationError("toml is read only; dump to json or yaml")
