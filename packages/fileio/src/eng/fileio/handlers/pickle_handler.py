"""Pickle. Loading a pickle can run any code that its author chose."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from eng.fileio._uri import PathLike
from eng.fileio.errors import ParseError
from eng.fileio.handlers.base import BaseFileHandler, name_of

__all__ = ["PickleHandler", "PickleParseError"]


class PickleParseError(ParseError, pickle.UnpicklingError, EOFError):
    """Bytes that are no whole pickle; also the errors that ``pickle.load`` raises for them."""


class PickleHandler(BaseFileHandler):
    """Pickle, protocol 2 by default, as MMEngine writes it.

    A pickle is a program: load only what you trust. ``load(path, trust=False)`` and ENG_SAFE_LOAD=1 refuse it.

    Example:
        >>> import io
        >>> PickleHandler().load_from_fileobj(io.BytesIO(PickleHandler().dump_to_str([1, 2])))
        [1, 2]
    """

    str_like = False

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """The object in an open binary file; `kwargs` go to ``pickle.load``.

        Raises:
            PickleParseError: no pickle, or only a part of one; names the file.
        """
        try:
            return pickle.load(file, **kwargs)
        except (pickle.UnpicklingError, EOFError) as error:
            raise PickleParseError.at(name_of(file), None, None, f"no whole pickle: {error}") from error

    def load_from_path(self, filepath: PathLike, mode: str = "rb", **kwargs: Any) -> Any:
        """The object in a local file."""
        return super().load_from_path(filepath, mode, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> bytes:
        """The object as bytes; `kwargs` go to ``pickle.dumps``."""
        kwargs.setdefault("protocol", 2)
        return pickle.dumps(obj, **kwargs)

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Writes an object to an open binary file; `kwargs` go to ``pickle.dump``."""
        kwargs.setdefault("protocol", 2)
        pickle.dump(obj, file, **kwargs)

    def dump_to_path(self, obj: Any, filepath: PathLike, mode: str = "wb", **kwargs: Any) -> None:
        """Writes an object to a local file, atomically."""
        super().dump_to_path(obj, filepath, mode, **kwargs)

    def can_run_code(self, options: Mapping[str, Any]) -> bool:
        """Always True."""
        return True
