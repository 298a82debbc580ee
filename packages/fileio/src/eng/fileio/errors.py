"""What goes wrong with files, each error with its data as attributes.

All survive pickling, so that a worker process can hand them to its parent.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "HTTPStatusError",
    "MissingClientError",
    "MissingKeyError",
    "ParseError",
    "RemoteFileNotFoundError",
    "TransferTimeoutError",
    "TruncatedTransferError",
    "UnknownBackendError",
    "UnknownFormatError",
    "UnsafeKeyError",
    "UnsupportedOperationError",
    "UntrustedFileError",
]


def known_names(wrong: str, known: Iterable[str]) -> str:
    """The tail of a message: the nearest name where there is one, then all known ones."""
    names = sorted(name for name in known if name)
    nearest = get_close_matches(wrong, names, n=1)
    hint = ""
    if nearest:
        hint = f"did you mean {nearest[0]!r}? "
    return f"{hint}known: {', '.join(names)}"


class ArgumentTypeError(TypeError, AssertionError):
    """An argument has a type that it cannot have; an AssertionError too, as in MMEngine."""


class MissingArgumentError(ValueError, AssertionError):
    """Nothing tells which file or backend is meant; an AssertionError too, as in MMEngine."""


class UnknownBackendError(ValueError, KeyError):
    """No backend has that name or prefix; a KeyError too, as in MMEngine."""

    # KeyError shows the repr of its argument, which turns a sentence into a quoted string.
    __str__ = Exception.__str__


class UnknownFormatError(TypeError):
    """No handler reads or writes that format; a TypeError, as in MMEngine."""


class UnsupportedOperationError(io.UnsupportedOperation):
    """The backend lacks this ability, such as writing over HTTP. Derives from OSError and ValueError."""


class UnsafeKeyError(ValueError):
    """A key climbs with ``..`` above the root of its store."""


class UntrustedFileError(ValueError):
    """Reading this file could run code, and the caller or ENG_SAFE_LOAD said not to trust it."""


class MissingClientError(ImportError):
    """The client library of a backend is not installed; the message names the extra to install."""


class MissingKeyError(FileNotFoundError, KeyError):
    """A key-value store holds no such key."""


class ParseError(ValueError):
    """A file that its format's reader rejects.

    Attributes:
        path: the file, or ``"<stream>"``.
        line: 1-based line of the fault, or None.
        column: 1-based column of the fault, or None.
    """

    path: str = "<stream>"
    line: int | None = None
    column: int | None = None

    @classmethod
    def at(cls, path: str, line: int | None, column: int | None, problem: str, advice: str = "") -> ParseError:
        """``path:line:column: problem; advice``."""
        where = ":".join(str(part) for part in (path, line, column) if part is not None)
        error = cls(f"{where}: {problem}" + (f"; {advice}" if advice else ""))
        error.path, error.line, error.column = path, line, column
        return error

    @classmethod
    def not_utf8(cls, path: str, cause: UnicodeDecodeError, subject: str, advice: str = "") -> ParseError:
        """The error for a text in another encoding, at the line of its first wrong byte."""
        before = cause.object[: cause.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        problem = f"{subject} must be {cause.encoding.upper()}, but holds the byte {cause.object[cause.start]:#04x}"
        return cls.at(path, line, column, problem, advice)


class WordsError(ParseError, AssertionError):
    """A line of a dictionary file has a key and no value; an AssertionError too, as in MMEngine."""


class HTTPStatusError(OSError):
    """The server answered with an error; `status` holds its code, `url` the address."""

    status: int = 0
    url: str = ""


class RemoteFileNotFoundError(HTTPStatusError, FileNotFoundError):
    """The server answered 404 or 410."""


class TransferTimeoutError(TimeoutError):
    """The server did not answer in time, after all retries."""


class TruncatedTransferError(OSError):
    """The connection ended before the whole file had come.

    Attributes:
        received_bytes: how much arrived.
        expected_bytes: how much the server had announced, or None.
    """

    received_bytes: int = 0
    expected_bytes: int | None = None
