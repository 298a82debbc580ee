"""The handler of pickle files. Loading a pickle can execute any code that its author put into it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from eng.fileio._uri import PathLike
from eng.fileio.errors import ParseError
from eng.fileio.handlers.base import BaseFileHandler, name_of

__all__ = ["PickleHandler", "PickleParseError"]


class PickleParseError(ParseError, pickle.UnpicklingError, EOFError):
    """A pickle file is malformed or truncated. Also an UnpicklingError and an EOFError, which ``pickle.load`` raises."""


class PickleHandler(BaseFileHandler):
    """Reads and writes pickle files, by default with protocol 2, as MMEngine does.

    Loading a pickle can execute code, so load only files that you trust. ``load(path, trust=False)`` and the
    environment variable ENG_SAFE_LOAD=1 refuse pickle files.

    Example:
        >>> import io
        >>> PickleHandler().load_from_fileobj(io.BytesIO(PickleHandler().dump_to_str([1, 2])))
        [1, 2]
    """

    str_like = False

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Reads the object in an open binary file; `kwargs` are passed to ``pickle.load``.

        Raises:
            PickleParseError: the file is malformed or truncated; the message names it.
        """
        try:
            return pickle.load(file, **kwargs)
        except (pickle.UnpicklingError, EOFError) as error:
            raise PickleParseError.at(name_of(file), None, None, f"no whole pickle: {error}") from error

    def load_from_path(self, filepath: PathLike, mode: str = "rb", **kwargs: Any) -> Any:
        """Reads the object in a local file."""
        return super().load_from_path(filepath, mode, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> bytes:
        """Returns the object as bytes; `kwargs` are passed to ``pickle.dumps``."""
        kwargs.setdefault("protocol", 2)
        return pickle.dumps(obj, **kwargs)

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Writes an object to an open binary file; `kwargs` are passed to ``pickle.dump``."""
        kwargs.setdefault("protocol", 2)
        pickle.dump(obj, file, **kwargs)

    def dump_to_path(self, obj: Any, filepath: PathLike, mode: str = "wb", **kwargs: Any) -> None:
        """Writes an object to a local file, atomically."""
        super().dump_to_path(obj, filepath, mode, **kwargs)

    def can_run_code(self, options: Mapping[str, Any]) -> bool:
        """Returns True: loading a pickle can always execute code."""
        return True
