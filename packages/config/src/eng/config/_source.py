# ruff: noqa: PTH112, PTH122, PTH208  # paths may be URLs
"""Reads the text of a config from disk or from a URL. The text must be UTF-8 and at most 8 MiB large."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import cached_property

from ._provenance import short_path
from .errors import BaseFileNotFoundError, ConfigFileError

SIZE_LIMIT_BYTES = 8 * 1024 * 1024
FORMATS = (".py", ".json", ".yaml", ".yml")


@dataclass
class Source:
    """The text of a config file, with its path.

    Attributes:
        path: absolute path or URL.
        text: the unchanged text of the file.
        extension: ``.py``, ``.json``, ``.yaml`` or ``.yml``.
    """

    path: str
    text: str
    extension: str

    @cached_property
    def name(self) -> str:
        """Path for messages: relative to the working directory if the file lies below it."""
        if is_url(self.path):
            return self.path
        return short_path(self.path)


def is_url(path: str) -> bool:
    """Whether `path` has a scheme such as ``https://``."""
    return "://" in path


def read_source(path: str, wanted_by: str | None = None) -> Source:
    """Reads a config file from disk or from a URL.

    Args:
        path: file path or URL (a URL needs fsspec).
        wanted_by: the config that names the file as its base config, for messages.

    Raises:
        FileNotFoundError: the file does not exist.
        IsADirectoryError: `path` is a directory.
        OSError: the extension is not ``.py``, ``.json``, ``.yaml`` or ``.yml``.
        ConfigFileError: the file is too large or not UTF-8.
    """
    if is_url(path):
        data = _fetch(path)
    else:
        data = _read(path, wanted_by)
    extension = os.path.splitext(path)[1]
    if extension not in FORMATS:
        raise OSError(f"{path}: only {', '.join(FORMATS)} files are configs, got extension {extension!r}")
    if len(data) > SIZE_LIMIT_BYTES:
        raise ConfigFileError(
            f"too large for a config (more than {SIZE_LIMIT_BYTES // 2**20} MiB); "
            "keep data in a data file and name it in the config",
            short_path(path),
        )
    return Source(path, decode(data, path), extension)


def decode(data: bytes, path: str) -> str:
    """Decodes the bytes of a config file as UTF-8 and converts Windows line ends to Unix ones.

    Raises:
        ConfigFileError: a byte is not valid UTF-8; the message names its line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigFileError(
            f"not UTF-8 (byte 0x{data[error.start]:02x}); configs are always UTF-8, re-save the file in that encoding",
            short_path(path),
            line,
        ) from error
    if "\r" in text:
        return text.replace("\r\n", "\n")
    return text


def _read(path: str, wanted_by: str | None) -> bytes:
    """Reads a config file from disk.

    Raises:
        FileNotFoundError: the file does not exist; the message suggests a similar name.
        IsADirectoryError: `path` is a directory.
    """
    try:
        with io.FileIO(path) as file:
            # Of a file that is too large, only one byte more than the limit is read; the caller then refuses the file.
            if os.fstat(file.fileno()).st_size > SIZE_LIMIT_BYTES:
                return file.read(SIZE_LIMIT_BYTES + 1)
            return file.readall()
    except FileNotFoundError as error:
        raise _not_found(path, wanted_by) from error
    except IsADirectoryError as error:
        raise _directory(path) from error


def _directory(path: str) -> IsADirectoryError:
    return IsADirectoryError(f"{path} is a directory, expected a config file ({', '.join(FORMATS)})")


def _near_file(name: str, siblings: list[str]) -> str:
    """Returns the end of an error message that suggests a file with a similar name; empty if there is none."""
    from .errors import hint, near_names

    if near_names(name, siblings):
        return hint(name, siblings)
    return ""


def _not_found(path: str, wanted_by: str | None) -> FileNotFoundError:
    """Returns the error for a missing config file, which suggests a similar file in the same folder.

    `wanted_by` is the config that names the file as its base config; None if the user named the file.
    """
    folder, name = os.path.split(path)
    if os.path.isdir(folder or "."):
        close = _near_file(name, os.listdir(folder or "."))
    else:
        close = "; its folder does not exist either"
    if wanted_by is None:
        return FileNotFoundError(f"config file {path!r} does not exist{close}")
    return BaseFileNotFoundError(f"{wanted_by}: base config {path!r} does not exist{close}")


def _fetch(url: str) -> bytes:
    """Reads a config from a URL, at most one byte more than the allowed size; the caller refuses larger files."""
    try:
        import fsspec
    except ImportError as error:
        raise ImportError(f"a config by URL ({url}) needs fsspec: pip install fsspec") from error
    with fsspec.open(url, "rb") as file:
        data: bytes = file.read(SIZE_LIMIT_BYTES + 1)
    return data
