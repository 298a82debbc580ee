"""Adds the config file and line to exceptions that are raised while a config runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from ._source import Source
from .errors import ConfigFileError


@contextmanager
def blaming(source: Source) -> Iterator[None]:
    """Sets the attribute ``config_place``, such as ``"path/file.py:12"``, on an exception raised inside the block.

    The exception is then re-raised. If a base config fails while its child config runs, the attribute names the base
    config. An exception whose message already names the file gets no attribute.
    """
    try:
        yield
    except Exception as error:
        line = _last_line(error.__traceback__, source.path)
        names_file = isinstance(error, ConfigFileError) or source.name in str(error)
        if line is not None and not names_file and not hasattr(error, "config_place"):
            error.config_place = f"{source.name}:{line}"  # type: ignore[attr-defined]  # every exception accepts additional attributes
        raise


@contextmanager
def ending_somewhere(name: str) -> Iterator[None]:
    """Replaces the RecursionError of a config value that is nested too deeply by an error that names the config.

    Raises:
        ConfigFileError: code inside the block raised RecursionError. A RecursionError that a statement of the config
            file itself raised passes unchanged.
    """
    try:
        yield
    except RecursionError as error:
        if hasattr(error, "config_place"):
            raise
        raise ConfigFileError("a value contains itself, or is nested too deeply", name) from error


def _last_line(frames: TracebackType | None, path: str) -> int | None:
    """Returns the line of the config file `path` in the innermost stack frame that runs this file; None without one."""
    line = None
    while frames is not None:
        if frames.tb_frame.f_code.co_filename == path:
            line = frames.tb_lineno
        frames = frames.tb_next
    return line
