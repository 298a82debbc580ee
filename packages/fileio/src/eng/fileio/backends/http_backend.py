"""The backend that reads files over HTTP and HTTPS."""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from eng.fileio._clients import client_module
from eng.fileio._per_process import PerProcess
from eng.fileio._uri import PathLike, text_of
from eng.fileio.backends._generic import RemoteReader
from eng.fileio.errors import (
    HTTPStatusError,
    RemoteFileNotFoundError,
    TransferTimeoutError,
    TruncatedTransferError,
)

__all__ = ["HTTPBackend"]

logger = logging.getLogger(__name__)
_CHUNK_BYTES = 1 << 20
_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class HTTPBackend(RemoteReader):
    """Reads files at ``http://`` and ``https://`` addresses.

    A request is retried after a refused connection, a timeout, an interrupted transfer, and the HTTP statuses 408, 425,
    429, 500, 502, 503 and 504. After an interruption only the remaining bytes are requested, if the server supports
    ranges and identifies the version of the file by an ETag or Last-Modified header. Otherwise, or if the file has
    changed on the server, the transfer starts from the beginning.

    Args:
        connect_timeout_s: seconds to wait for a connection.
        read_timeout_s: seconds to wait for the next piece of an answer.
        retries: number of attempts after the first attempt has failed.
        backoff_s: seconds to wait before the first retry; the waiting time doubles with every retry.
        headers: HTTP headers for every request, such as ``{"Authorization": "Bearer ..."}``.

    Raises:
        RemoteFileNotFoundError: the server answered 404 or 410 (a FileNotFoundError).
        HTTPStatusError: the server answered another error status; see `status` and `url`.
        TransferTimeoutError: the server did not answer in time.
        TruncatedTransferError: the transfer was interrupted; the message says how many bytes were received.
    """

    def __init__(
        self,
        connect_timeout_s: float = 10.0,
        read_timeout_s: float = 60.0,
        retries: int = 3,
        backoff_s: float = 0.2,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.timeout = (connect_timeout_s, read_timeout_s)
        self.retries = retries
        self.backoff_s = backoff_s
        # "identity" asks for an uncompressed answer. Content-Length is then the number of bytes of the file, so that an
        # interrupted transfer can be detected.
        self.headers = {"Accept-Encoding": "identity", **(headers or {})}
        self._session: PerProcess[Any] = PerProcess()

    def get(self, filepath: PathLike, start: int = 0, stop: int | None = None) -> bytes:
        """Returns the content of a file, or only its bytes ``start:stop``, requested by a ``Range`` header."""
        sink = io.BytesIO()
        _Transfer(self, text_of(filepath), sink, start, stop).run()
        return sink.getvalue()

    def exists(self, filepath: PathLike) -> bool:
        """Whether the server has the file.

        Raises:
            HTTPStatusError: the server answers with an error status other than 404 and 410.
        """
        url = text_of(filepath)
        try:
            status = self.session.head(
                url, timeout=self.timeout, headers=self.headers, allow_redirects=True
            ).status_code
        except self.requests.exceptions.Timeout as error:
            raise TransferTimeoutError(f"{url}: no answer within {self.timeout[1]} s") from error
        if status in (404, 410):
            return False
        if status >= 400:
            raise _status_error(url, status)
        return True

    def isfile(self, filepath: PathLike) -> bool:
        """Whether the server has the file; returns False for an address that ends with a slash."""
        return not text_of(filepath).endswith("/") and self.exists(filepath)

    def isdir(self, filepath: PathLike) -> bool:
        """Returns False, because HTTP has no directories."""
        return False

    @property
    def requests(self) -> Any:
        """The module of the library requests, imported at the first use."""
        return client_module("requests", "HTTPBackend", "pip install requests")

    @property
    def session(self) -> Any:
        """The ``requests.Session`` of this process, which keeps its connections open."""
        return self._session.get(self.requests.Session)

    def _download(self, filepath: PathLike, target: Path) -> None:
        with target.open("wb") as sink:
            _Transfer(self, text_of(filepath), sink, 0, None).run()


class _Transfer:
    """The download of one file, or of its bytes from `start` to `stop`, into the file object `sink`.

    After an interruption, further requests are sent for the remaining bytes.
    """

    def __init__(self, backend: HTTPBackend, url: str, sink: IO[bytes], start: int, stop: int | None) -> None:
        self.backend, self.url, self.sink, self.start, self.stop = backend, url, sink, start, stop
        self.received_bytes = 0
        self.expected_bytes: int | None = None
        self.total_bytes: int | None = None
        self.version: str | None = None

    def run(self) -> None:
        """Downloads the file; raises the last error if the first attempt and all retries failed."""
        for attempt in range(self.backend.retries + 1):
            error = self._request_once()
            if error is None:
                return
            if attempt < self.backend.retries:
                wait_s = self.backend.backoff_s * 2**attempt
                logger.warning("%s; trying again in %.1f s", error, wait_s)
                time.sleep(wait_s)
        raise error if error is not None else AssertionError("retries is below zero")

    def _request_once(self) -> OSError | None:
        """Sends one request and writes the received bytes to `sink`.

        Returns None if the file is complete. Returns an error if a retry may succeed, and raises all other errors.
        """
        errors = self.backend.requests.exceptions
        try:
            with self.backend.session.get(
                self.url, stream=True, timeout=self.backend.timeout, headers=self._headers()
            ) as answer:
                if answer.status_code >= 400:
                    return self._status_failure(answer.status_code)
                changed = self._read_headers(answer)
                if changed is not None:
                    return changed
                for piece in answer.iter_content(_CHUNK_BYTES):
                    self.sink.write(piece)
                    self.received_bytes += len(piece)
        except errors.Timeout:
            return TransferTimeoutError(
                f"{self.url}: no answer within {self.backend.timeout[1]} s (after {self.received_bytes} bytes)"
            )
        except (errors.ConnectionError, errors.ChunkedEncodingError) as error:
            return self._interruption(error)
        if self.expected_bytes is not None and self.received_bytes < self.expected_bytes:
            return self._interruption(None)
        return None

    def _headers(self) -> dict[str, str]:
        """Returns the headers of the next request, which asks only for the bytes that are not received yet.

        ``If-Range`` makes the server send the complete file again if the file has changed meanwhile.
        """
        first = self.start + self.received_bytes
        if not first and self.stop is None:
            return self.backend.headers
        if self.stop is None:
            last = ""
        else:
            last = str(self.stop - 1)
        resume = {}
        if self.version and self.received_bytes:
            resume = {"If-Range": self.version}
        return {**self.backend.headers, "Range": f"bytes={first}-{last}", **resume}

    def _read_headers(self, answer: Any) -> OSError | None:
        """Reads the headers of an answer before its body; empties `sink` if the transfer must start again.

        Returns an error if the server sends other bytes than those that follow the bytes received so far.
        """
        length, version = _length_of(answer.headers), _version_of(answer.headers)
        total_bytes: int | None = None
        if answer.status_code != 206:
            if self.start or self.stop is not None:
                raise HTTPStatusError(f"{self.url}: the server ignores Range; read the whole file instead")
            # The server sends the complete file, because it does not support ranges or the file has changed. So the
            # bytes received before are discarded.
            self._discard_received()
        else:
            first, total_bytes = _range_of(answer.headers.get("Content-Range", ""))
            is_other_version = self.received_bytes and (version, total_bytes) != (self.version, self.total_bytes)
            if first != self.start + self.received_bytes or is_other_version:
                asked = self.start + self.received_bytes
                self._discard_received()
                return TruncatedTransferError(
                    f"{self.url}: asked for the bytes from {asked} on, the server sent those from {first} on, of "
                    f"{total_bytes}: they do not continue what was received"
                )
        if length is None:
            self.expected_bytes = None
        else:
            self.expected_bytes = self.received_bytes + length
        if total_bytes is not None and self.stop is None:
            # A server may send fewer bytes than requested. So the transfer is complete when the size of the file is
            # reached, not the size of this answer.
            self.expected_bytes = total_bytes - self.start
        self.version = version
        if answer.status_code != 206:
            self.total_bytes = self.expected_bytes
        else:
            self.total_bytes = total_bytes
        return None

    def _discard_received(self) -> None:
        """Empties `sink`, so that the transfer starts again with the first byte."""
        self.sink.seek(0)
        self.sink.truncate()
        self.received_bytes = 0

    def _status_failure(self, status: int) -> OSError:
        """Returns the error for an HTTP error status after which a retry may succeed; raises any other error."""
        error = _status_error(self.url, status)
        if status not in _RETRY_STATUS:
            raise error
        return error

    def _interruption(self, cause: BaseException | None) -> OSError:
        """Returns the error for a connection that failed, or that ended before the complete file was received."""
        if self.expected_bytes is None and not self.received_bytes:
            failed = ConnectionError(f"{self.url}: cannot connect: {cause}")
            failed.__cause__ = cause
            return failed
        if self.expected_bytes is None:
            of = "an unknown number of"
        else:
            of = str(self.expected_bytes)
        error = TruncatedTransferError(f"{self.url}: the transfer stopped after {self.received_bytes} of {of} bytes")
        error.received_bytes, error.expected_bytes, error.__cause__ = self.received_bytes, self.expected_bytes, cause
        if self.version is None:
            # Without an ETag or Last-Modified header nobody can tell whether the file has changed meanwhile, so all
            # bytes are requested again.
            self._discard_received()
        return error


def _version_of(headers: Mapping[str, str]) -> str | None:
    """Returns what identifies the version of a file on the server, as text for the ``If-Range`` header.

    This is the ETag, unless the server marks it as weak (``W/``), or else the Last-Modified time; None without both.
    """
    etag = headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified")


def _length_of(headers: Mapping[str, str]) -> int | None:
    """Returns the ``Content-Length`` header as a number; None if it is missing or not a number."""
    text = headers.get("Content-Length", "").strip()
    if text.isascii() and text.isdigit():
        return int(text)
    return None


def _range_of(text: str) -> tuple[int | None, int | None]:
    """Parses a ``Content-Range`` header.

    Returns the position of the first byte that the answer contains, and the size of the complete file in bytes. Both
    are None if the header is missing or malformed; the size is None if the server does not know it.

    Example:
        >>> _range_of("bytes 5-9/20")
        (5, 20)
    """
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", text.strip())
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _status_error(url: str, status: int) -> HTTPStatusError:
    """Returns the error for an HTTP error status; for 404 and 410 it is also a FileNotFoundError."""
    missing = status in (404, 410)
    error_class = RemoteFileNotFoundError if missing else HTTPStatusError
    error = error_class(f"{url}: the server answered {status}" + (": no such file" if missing else ""))
    error.status, error.url = status, url
    return error
