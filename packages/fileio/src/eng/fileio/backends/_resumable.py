"""Writing a large file to a storage that is out of reach for a while."""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["PARALLEL_PARTS", "PART_BYTES", "Patience", "has_parts", "put_parts"]

_Result = TypeVar("_Result")
_LOGGER = logging.getLogger(__name__)
PART_BYTES = 50 << 20  # S3 takes parts of 5 MiB to 5 GiB
PARALLEL_PARTS = 8
_MOST_PARTS = 10_000
_LONGEST_PAUSE_S = 30.0
# Of botocore, aiohttp, requests and fsspec, whose classes do not derive from ConnectionError or TimeoutError; asyncio and
# concurrent.futures have a TimeoutError each, which is the builtin one since Python 3.11 only.
_BREAKS = frozenset({
    "HTTPClientError", "ClientConnectionError", "ClientPayloadError", "ResponseParserError", "IncompleteRead", "FSTimeoutError",
    "EndpointConnectionError", "RequestException", "TransportError", "TimeoutError",
})  # fmt: skip
# What s3fs makes of a server's SlowDown (EBUSY) and InternalError (EREMOTEIO), and networks that are down.
_PASSING = frozenset(
    getattr(errno, name)
    for name in ("EBUSY", "EREMOTEIO", "ENETDOWN", "ENETUNREACH", "EHOSTUNREACH", "EHOSTDOWN")
    if hasattr(errno, name)
)


class Patience:
    """Repeats requests that a broken connection ended, with growing pauses, until nothing has succeeded for a time.

    Several threads may repeat requests at the same time: a success of any of them ends the time without one.

    Args:
        patience_s: seconds from the first break, without any success since, after which the error is raised.
        target: what is written, for the log.
    """

    def __init__(self, patience_s: float, target: str) -> None:
        self.patience_s = patience_s
        self.target = target
        self._first_break: float | None = None  # since the last success
        self._is_ended = threading.Event()

    def repeat(self, request: Callable[[], _Result]) -> _Result:
        """The answer to a request.

        Raises:
            Exception: what the request failed with: at once where the storage refused it.
        """
        pause = 1.0
        while True:
            try:
                answer = request()
            except Exception as error:
                if not is_break(error):
                    raise
                remaining = self._remaining_s()
                if remaining <= 0:
                    raise
                pause = min(pause, remaining)
                _LOGGER.warning(
                    "%s: the storage is out of reach (%s: %s). Next try in %.0f s; given up in %.0f s",
                    self.target, type(error).__name__, error, pause, remaining,
                )  # fmt: skip
                self._wait(pause)
                if self._is_ended.is_set():
                    raise
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                self._first_break = None
                return answer

    def end(self) -> None:
        """Repeats nothing from now on, and ends the pauses of all threads: each raises what its request failed with."""
        self._is_ended.set()

    def _remaining_s(self) -> float:
        now = time.monotonic()
        first_break = self._first_break
        if first_break is None:
            self._first_break = first_break = now
        return first_break + self.patience_s - now

    def _wait(self, seconds: float) -> None:
        self._is_ended.wait(seconds)


def is_break(error: Exception) -> bool:
    """Whether an error comes from the connection or from a server in trouble, so that the same request may succeed later.

    Example:
        >>> is_break(ConnectionResetError()), is_break(PermissionError())
        (True, False)
    """
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    if _BREAKS & {cls.__name__ for cls in type(error).__mro__}:
        return True
    if isinstance(error, OSError) and error.errno in _PASSING:
        return True
    response = getattr(error.__cause__, "response", None)  # of botocore, from which s3fs makes an OSError
    return isinstance(response, dict) and response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500


def has_parts(fs: Any) -> bool:
    """Whether a file system takes a file in parts that outlast a broken connection: that of S3 does."""
    return "s3" in fs.protocol and callable(getattr(fs, "call_s3", None))


def put_parts(fs: Any, path: str, data: bytes, patience: Patience, part_bytes: int, parallel: int) -> None:
    """Writes a file to S3 in parts; after a break only parts that have not arrived are sent again.

    Args:
        fs: file system of s3fs.
        path: bucket and key.
        data: content of the file.
        patience: repeats requests.
        part_bytes: size of a part, larger where the file would have too many.
        parallel: parts that are sent at the same time.

    Raises:
        Exception: what a request failed with at last. The parts are removed, if the storage can be reached.
    """
    bucket, key, _version = fs.split_path(path)
    address = {"Bucket": bucket, "Key": key}
    upload_id = patience.repeat(lambda: fs.call_s3("create_multipart_upload", **address))["UploadId"]
    target = {**address, "UploadId": upload_id}
    try:
        parts = _send_parts(fs, target, data, patience, part_bytes, parallel)
        _complete(fs, target, parts, len(data), patience)
    except BaseException:
        with suppress(Exception):
            fs.call_s3("abort_multipart_upload", **target)
        raise
    fs.invalidate_cache(path)


def _send_parts(
    fs: Any, target: dict[str, str], data: bytes, patience: Patience, part_bytes: int, parallel: int
) -> list[dict[str, Any]]:
    size = max(part_bytes, math.ceil(len(data) / _MOST_PARTS))
    view = memoryview(data)

    def send(index: int) -> dict[str, Any]:
        body = bytes(view[index * size : (index + 1) * size])
        request = {**target, "PartNumber": index + 1, "Body": body}
        return {"PartNumber": index + 1, "ETag": patience.repeat(lambda: fs.call_s3("upload_part", **request))["ETag"]}

    with ThreadPoolExecutor(parallel) as senders:
        try:
            return list(senders.map(send, range(math.ceil(len(data) / size))))
        except BaseException:  # the pool waits for its threads, which would repeat requests until their patience ends
            patience.end()
            senders.shutdown(wait=False, cancel_futures=True)
            raise


def _complete(fs: Any, target: dict[str, str], parts: list[dict[str, Any]], size: int, patience: Patience) -> None:
    """Makes a file of its parts.

    An upload is gone once it is complete: where the answer was lost, the second try (of this process, or of botocore or
    s3fs below it) does not find it.
    """
    try:
        patience.repeat(lambda: fs.call_s3("complete_multipart_upload", **target, MultipartUpload={"Parts": parts}))
    except FileNotFoundError:
        address = {"Bucket": target["Bucket"], "Key": target["Key"]}
        try:
            stored = patience.repeat(lambda: fs.call_s3("head_object", **address))
        except (FileNotFoundError, PermissionError):
            stored = {}
        if stored.get("ContentLength") != size or _hex_of(stored.get("ETag", "")) != _etag_of(parts):
            raise


def _etag_of(parts: list[dict[str, Any]]) -> str:
    """The ETag of a file in parts: the MD5 of the MD5s of its parts, and their number."""
    digests = "".join(_hex_of(part["ETag"]) for part in parts)
    try:
        return f"{hashlib.md5(bytes.fromhex(digests), usedforsecurity=False).hexdigest()}-{len(parts)}"
    except ValueError:  # a storage with ETags of its own
        return "unknown"


def _hex_of(etag: str) -> str:
    return etag.strip('"')
