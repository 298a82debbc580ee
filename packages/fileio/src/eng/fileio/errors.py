"""The exceptions of this package; their data are attributes.

All of them can be pickled, so that a worker process can pass them to its parent.
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
    """Returns the end of an error message: a similarly spelled name, if there is one, and all known names."""
    names = sorted(name for name in known if name)
    nearest = get_close_matches(wrong, names, n=1)
    hint = ""
    if nearest:
        hint = f"did you mean {nearest[0]!r}? "
    return f"{hint}known: {', '.join(names)}"


class ArgumentTypeError(TypeError, AssertionError):
    """An argument has the wrong type. Also an AssertionError, which MMEngine raises in this case."""


class MissingArgumentError(ValueError, AssertionError):
    """The arguments name neither a file nor a backend. Also an AssertionError, which MMEngine raises in this case."""


class UnknownBackendError(ValueError, KeyError):
    """No storage backend has that name or prefix. Also a KeyError, which MMEngine raises in this case."""

    # `KeyError.__str__` would put the message in quotes.
    __str__ = Exception.__str__


class UnknownFormatError(TypeError):
    """No handler is registered for a file format. A TypeError, as in MMEngine."""


class UnsupportedOperationError(io.UnsupportedOperation):
    """The storage backend does not support an operation, such as writing over HTTP. Also an OSError and a ValueError."""


class UnsafeKeyError(ValueError):
    """A key contains more parts ``..`` than directories, so that it leads above the root of its storage."""


class UntrustedFileError(ValueError):
    """Loading a file could execute code, and ``trust=False`` or the environment variable ENG_SAFE_LOAD forbids that."""


class MissingClientError(ImportError):
    """The client library of a storage backend is not installed; the message says how to install it."""


class MissingKeyError(FileNotFoundError, KeyError):
    """A key-value storage, such as LMDB, does not contain the key."""


class ParseError(ValueError):
    """The content of a file is not valid in its format.

    Attributes:
        path: path of the file, or ``"<stream>"``.
        line: 1-based line of the mistake; None if unknown.
        column: 1-based column of the mistake; None if unknown.
    """

    path: str = "<stream>"
    line: int | None = None
    column: int | None = None

    @classmethod
    def at(cls, path: str, line: int | None, column: int | None, problem: str, advice: str = "") -> ParseError:
        """Creates the error with the message ``path:line:column: problem; advice``."""
        where = ":".join(str(part) for part in (path, line, column) if part is not None)
        error = cls(f"{where}: {problem}" + (f"; {advice}" if advice else ""))
        error.path, error.line, error.column = path, line, column
        return error

    @classmethod
    def not_utf8(cls, path: str, cause: UnicodeDecodeError, subject: str, advice: str = "") -> ParseError:
        """Creates the error for a file with bytes that are invalid in the expected encoding, such as UTF-8.

        The message names the line and column of the first invalid byte.
        """
        before = cause.object[: cause.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        problem = f"{subject} must be {cause.encoding.upper()}, but holds the byte {cause.object[cause.start]:#04x}"
        return cls.at(path, line, column, problem, advice)


class WordsError(ParseError, AssertionError):
    """A line of a dictionary file has a key but no value. Also an AssertionError, which MMEngine raises in this case."""


class HTTPStatusError(OSError):
    """An HTTP server answered with an error status.

    Attributes:
        status: the HTTP status code.
        url: the requested address.
    """

    status: int = 0
    url: str = ""


class RemoteFileNotFoundError(HTTPStatusError, FileNotFoundError):
    """An HTTP server answered with status 404 or 410: the file does not exist."""


class TransferTimeoutError(TimeoutError):
    """A server did not answer in time, even after all retries."""


class TruncatedTransferError(OSError):
    """The connection ended before the complete file was received.

    Attributes:
        received_bytes: number of bytes received.
        expected_bytes: number of bytes that the server announced; None if it did not.
    """

    received_bytes: int = 0
    expected_bytes: int | None = None
