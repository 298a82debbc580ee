"""Which config, and which line of it, is behind an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from ._source import Source
from .errors import ConfigFileError


@contextmanager
def blaming(source: Source) -> Iterator[None]:
    """Lets errors through as they are, with the place they came from as ``config_place``.

    The place, ``"path/file.py:12"``, is that of the innermost config: a base is read while its child runs. Errors that
    name the file themselves get none.
    """
    try:
        yield
    except Exception as error:
        line = _last_line(error.__traceback__, source.path)
        tells = isinstance(error, ConfigFileError) or source.name in str(error)
        if line is not None and not tells and not hasattr(error, "config_place"):
            error.config_place = f"{source.name}:{line}"  # type: ignore[attr-defined]  # errors take attributes
        raise


@contextmanager
def ending_somewhere(name: str) -> Iterator[None]:
    """Names the config whose values go deeper than Python can follow.

    Raises:
        ConfigFileError: in place of a RecursionError that the code of the config did not raise itself.
    """
    try:
        yield
    except RecursionError as error:
        if hasattr(error, "config_place"):
            raise
        raise ConfigFileError("a value contains itself, or is nested too deeply", name) from error


def _last_line(frames: TracebackType | None, path: str) -> int | None:
    line = None
    while frames is not None:
        if frames.tb_frame.f_code.co_filename == path:
            line = frames.tb_lineno
        frames = frames.tb_next
    return line
