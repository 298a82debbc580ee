"""`load` and `dump`, which read and write Python objects as json, yaml, toml or pickle files in any storage."""

# The functions of os and os.path are used, because they take a third of the time of the methods of pathlib.Path.
# ruff: noqa: PTH112

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eng.fileio._atomic import atomic_write
from eng.fileio._uri import PathLike, base_name, text_of
from eng.fileio.backends.local_backend import LocalBackend
from eng.fileio.backends.registry_utils import BACKENDS
from eng.fileio.errors import UntrustedFileError
from eng.fileio.handlers.base import BaseFileHandler, name_of
from eng.fileio.handlers.registry_utils import handler_for

__all__ = ["dump", "load", "merged_args"]

BackendArgs = Mapping[str, Any] | None


def merged_args(file_client_args: BackendArgs, backend_args: BackendArgs) -> BackendArgs:
    """Returns `backend_args`; if only the deprecated `file_client_args` is set, warns and returns that.

    Raises:
        ValueError: both arguments are set.
    """
    if file_client_args is None:
        return backend_args
    warnings.warn("file_client_args is deprecated; use backend_args", DeprecationWarning, stacklevel=3)
    if backend_args is not None:
        raise ValueError("backend_args came together with file_client_args, its old name; give backend_args alone")
    return file_client_args


def load(
    file: Any,
    file_format: str | None = None,
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
    *,
    trust: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Loads a Python object from a json, yaml, toml or pickle file, or from a format registered by the user.

    Args:
        file: a path or URI, or an open file object.
        file_format: the format; None derives it from the suffix of the path. Required for a file object.
        file_client_args: deprecated name of `backend_args`.
        backend_args: arguments for the storage backend, see :func:`get_file_backend`.
        trust: whether a format that can execute code, such as pickle, may be loaded. True allows it, False refuses it,
            None allows it unless the environment variable ``ENG_SAFE_LOAD`` is ``1``.
        kwargs: options for the reader of the format.

    Raises:
        UnknownFormatError: no handler is registered for the format.
        UntrustedFileError: the format can execute code, and `trust` or ``ENG_SAFE_LOAD`` refuses it.
        ParseError: the content is malformed; the message names file, line and column.
        TypeError: `file` is neither a path nor a file object.

    Example:
        >>> import io
        >>> load(io.StringIO('{"a": 1}'), file_format="json")
        {'a': 1}
    """
    backend_args = merged_args(file_client_args, backend_args)
    handler = handler_for(file_format or _format_of(file, "load"))
    _check_trust(file, handler, trust, kwargs)
    if hasattr(file, "read"):
        return handler.load_from_fileobj(file, **kwargs)
    backend = BACKENDS.choose(file, backend_args)
    if isinstance(backend, LocalBackend):
        return _load_local(handler, file, kwargs)
    content: Any
    if handler.str_like:
        content = backend.get_text(file)
    else:
        content = bytes(backend.get(file))
    with _named_stream(content, text_of(file)) as stream:
        del content  # The stream holds a copy. A large file must not stay in memory twice.
        return handler.load_from_fileobj(stream, **kwargs)


def dump(
    obj: Any,
    file: Any = None,
    file_format: str | None = None,
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
    **kwargs: Any,
) -> Any:
    """Writes a Python object to a file, or returns it as a string.

    A local file is written atomically: a reader sees the complete old content or the complete new content.

    Args:
        obj: the object to write.
        file: a path or URI, or an open file object; None returns a string (bytes for pickle).
        file_format: the format; None derives it from the suffix of the path.
        file_client_args: deprecated name of `backend_args`.
        backend_args: arguments for the storage backend, see :func:`get_file_backend`.
        kwargs: options for the writer of the format.

    Raises:
        UnknownFormatError: no handler is registered for the format.
        ValueError: both `file` and `file_format` are None.
        TypeError: `file` is neither a path nor a file object.

    Example:
        >>> dump({"a": {2, 1}}, file_format="json")
        '{"a": [1, 2]}'
    """
    backend_args = merged_args(file_client_args, backend_args)
    if file is None and file_format is None:
        raise ValueError("without a file, the format must be named: file_format='json', for instance")
    handler = handler_for(file_format or _format_of(file, "dump"))
    if file is None:
        return handler.dump_to_str(obj, **kwargs)
    if hasattr(file, "write"):
        return handler.dump_to_fileobj(obj, file, **kwargs)
    backend = BACKENDS.choose(file, backend_args)
    if isinstance(backend, LocalBackend):
        with atomic_write(file, "w" if handler.str_like else "wb") as target:
            handler.dump_to_fileobj(obj, target, **kwargs)
    elif handler.str_like:
        text = io.StringIO()
        handler.dump_to_fileobj(obj, text, **kwargs)
        backend.put_text(text.getvalue(), file)
    else:
        content = io.BytesIO()
        handler.dump_to_fileobj(obj, content, **kwargs)
        backend.put(content.getvalue(), file)
    return None


def _format_of(file: Any, verb: str) -> str:
    """Returns the file format that the suffix of a path names; `verb` is ``"load"`` or ``"dump"``, for messages.

    Raises:
        ValueError: `file` is a file object, whose format cannot be derived.
        TypeError: `file` is neither a path nor a file object.
    """
    if isinstance(file, (str, Path, os.PathLike)):
        return base_name(file).rpartition(".")[2]
    if hasattr(file, "read") or hasattr(file, "write"):
        raise ValueError(f"{verb} of a file object needs file_format, such as file_format='json'")
    raise TypeError(f'"file" must be a path or a file object, got {type(file).__name__}')


def _load_local(handler: BaseFileHandler, path: PathLike, kwargs: dict[str, Any]) -> Any:
    """Loads a local file by its handler, which gets the path, so that the file need not be read into memory before."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"{text_of(path)} is a directory; name the file to load")
    if type(handler).load_from_path is not BaseFileHandler.load_from_path:
        return handler.load_from_path(path, **kwargs)
    return handler.load_from_path(path, "r" if handler.str_like else "rb", **kwargs)


def _check_trust(file: Any, handler: BaseFileHandler, trust: bool | None, kwargs: Mapping[str, Any]) -> None:
    """Raises UntrustedFileError if loading the file could execute code, and `trust` or ``ENG_SAFE_LOAD`` forbids it."""
    allowed = trust
    if trust is None:
        allowed = os.environ.get("ENG_SAFE_LOAD", "") not in ("1", "true")
    if allowed or not handler.can_run_code(kwargs):
        return
    why = "ENG_SAFE_LOAD is set"
    if trust is not None:
        why = "trust=False"
    if isinstance(file, (str, os.PathLike)):
        name = text_of(file)
    else:
        name = name_of(file)
    raise UntrustedFileError(
        f"{name}: refused, as {why} and {type(handler).__name__} can run any code that the file's author chose. "
        "If you know where it comes from, load(..., trust=True) loads it; else ask for it as json or yaml"
    )


class _TextStream(io.StringIO):
    name = "<stream>"


class _ByteStream(io.BytesIO):
    name = "<stream>"


def _named_stream(content: Any, name: str) -> Any:
    """Returns a stream with the content of a remote file; its `name` lets error messages name the file."""
    stream: _TextStream | _ByteStream
    if isinstance(content, str):
        stream = _TextStream(content)
    else:
        stream = _ByteStream(content)
    stream.name = name
    return stream
