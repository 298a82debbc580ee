"""The handler of JSON files."""

from __future__ import annotations

import json
from typing import Any

from eng.fileio._text import without_mark
from eng.fileio.errors import ParseError
from eng.fileio.handlers.base import BaseFileHandler, name_of

__all__ = ["JsonHandler", "JsonParseError"]


class JsonParseError(ParseError, json.JSONDecodeError):
    """A JSON file is malformed. Also a ``json.JSONDecodeError``, which existing code catches."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, message)

    def __reduce__(self) -> Any:
        return type(self), self.args, self.__dict__


def _plain(value: Any) -> Any:
    """Converts sets, ranges, numpy arrays and numpy scalars, which JSON does not support, to lists and numbers."""
    if isinstance(value, (set, frozenset)):
        try:
            return sorted(value)
        except TypeError:
            return list(value)
    if isinstance(value, range):
        return list(value)
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} has no form in json; convert it first")


class JsonHandler(BaseFileHandler):
    """Reads and writes JSON. Sets (sorted if possible), ranges and numpy values are written as lists and numbers.

    Example:
        >>> JsonHandler().dump_to_str({"ids": {3, 1}, "to": range(2)})
        '{"ids": [1, 3], "to": [0, 1]}'
    """

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Reads the object in an open file; `kwargs` are passed to ``json.loads``.

        Raises:
            JsonParseError: the file is malformed; the message names file, line and column.
        """
        try:
            content = file.read()
            return json.loads(without_mark(content) if isinstance(content, str) else content, **kwargs)
        except json.JSONDecodeError as error:
            excerpt = error.doc[max(0, error.pos - 20) : error.pos + 20]
            problem = f"malformed JSON: {error.msg}" + (f" near {excerpt!r}" if excerpt else " (the file is empty)")
            raise JsonParseError.at(name_of(file), error.lineno, error.colno, problem) from error
        except UnicodeDecodeError as error:
            raise JsonParseError.not_utf8(name_of(file), error, "JSON") from error

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Writes an object to an open text file; `kwargs` are passed to ``json.dumps``."""
        kwargs.setdefault("default", _plain)
        # `json.dump` would take several times as long, because it writes the text to the file in many small pieces.
        file.write(json.dumps(obj, **kwargs))

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Returns the object as JSON text; `kwargs` are passed to ``json.dumps``."""
        kwargs.setdefault("default", _plain)
        return json.dumps(obj, **kwargs)
