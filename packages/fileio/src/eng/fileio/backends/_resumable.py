"""Writes large files to a remote storage and retries while its connection is broken."""

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
PART_BYTES = 50 << 20  # 50 MiB. S3 accepts parts of 5 MiB to 5 GiB.
PARALLEL_PARTS = 8
_MOST_PARTS = 10_000
_LONGEST_PAUSE_S = 30.0
# Names of the exceptions by which botocore, aiohttp, requests and fsspec report a broken connection. These exceptions
# do not derive from Python's ConnectionError or TimeoutError. The name TimeoutError stands for the classes of asyncio
# and concurrent.futures, which in Python 3.10 are not the builtin TimeoutError.
_BREAKS = frozenset({
    "HTTPClientError", "ClientConnectionError", "ClientPayloadError", "ResponseParserError", "IncompleteRead", "FSTimeoutError",
    "EndpointConnectionError", "RequestException", "TransportError", "TimeoutError",
})  # fmt: skip
# The `errno` of temporary failures. s3fs raises EBUSY if the S3 server answers SlowDown, and EREMOTEIO if it answers
# InternalError. The other numbers mean that the network or the host is down.
_PASSING = frozenset(
    getattr(errno, name)
    for name in ("EBUSY", "EREMOTEIO", "ENETDOWN", "ENETUNREACH", "EHOSTUNREACH", "EHOSTDOWN")
    if hasattr(errno, name)
)


class Patience:
    """Retries requests that fail because of a broken connection, with growing pauses between the attempts.

    Several threads may share one instance. The time limit counts from the first failure after the last successful
    request of any of these threads.

    Args:
        patience_s: time limit in seconds. If requests have failed for longer, the exception of the request is raised.
        target: path of the file that is written, for log messages.
    """

    def __init__(self, patience_s: float, target: str) -> None:
        self.patience_s = patience_s
        self.target = target
        self._first_break: float | None = None  # Time of the first failed request since the last successful one.
        self._is_ended = threading.Event()

    def repeat(self, request: Callable[[], _Result]) -> _Result:
        """Calls `request` until it succeeds or fails for a reason other than a broken connection; returns its result.

        Raises:
            Exception: the exception of the request. After a broken connection it is raised only when the time limit
                is over or `end` was called; every other exception is raised at once.
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
        """Stops all retries: each thread that waits to send its request again raises the exception of that request."""
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
    """Whether an exception means a broken connection or an overloaded server, so that a later attempt may succeed.

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
    # For an HTTP error, s3fs raises an OSError; its cause is the exception of botocore, which holds the HTTP response.
    response = getattr(error.__cause__, "response", None)
    return isinstance(response, dict) and response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500


def has_parts(fs: Any) -> bool:
    """Whether a file of this fsspec file system can be uploaded in parts, as only S3 supports.

    After a broken connection, only the parts that are missing need to be sent again.
    """
    return "s3" in fs.protocol and callable(getattr(fs, "call_s3", None))


def put_parts(fs: Any, path: str, data: bytes, patience: Patience, part_bytes: int, parallel: int) -> None:
    """Uploads a file to S3 in parts; after a broken connection, only the missing parts are sent again.

    Args:
        fs: file system object of s3fs.
        path: bucket and key.
        data: content of the file.
        patience: retries requests after a broken connection, up to its time limit.
        part_bytes: size of a part; increased if the file would have more than 10,000 parts.
        parallel: number of parts that are sent at the same time.

    Raises:
        Exception: the exception of a request that still fails after the time limit. Uploaded parts are then deleted,
            if the storage can be reached.
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
    """Sends the parts of a file in several threads; returns the number and ETag (checksum) of each part, in order.

    If a part fails for good, the other threads stop, and the exception is raised.
    """
    size = max(part_bytes, math.ceil(len(data) / _MOST_PARTS))
    view = memoryview(data)

    def send(index: int) -> dict[str, Any]:
        body = bytes(view[index * size : (index + 1) * size])
        request = {**target, "PartNumber": index + 1, "Body": body}
        return {"PartNumber": index + 1, "ETag": patience.repeat(lambda: fs.call_s3("upload_part", **request))["ETag"]}

    with ThreadPoolExecutor(parallel) as senders:
        try:
            return list(senders.map(send, range(math.ceil(len(data) / size))))
        except BaseException:
            # The end of the `with` block waits for all threads. Without `end`, threads whose requests fail would retry
            # until the time limit.
            patience.end()
            senders.shutdown(wait=False, cancel_futures=True)
            raise


def _complete(fs: Any, target: dict[str, str], parts: list[dict[str, Any]], size: int, patience: Patience) -> None:
    """Completes an upload in parts: asks S3 to join the parts to one file.

    If the connection breaks after S3 joined the parts and before its answer arrives, the request is sent again. S3 then
    answers that the upload does not exist, because it is completed. The upload counts as successful if the file has the
    expected size and ETag (checksum).
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
    """Computes the ETag, a checksum, that S3 assigns to a file uploaded in parts.

    It consists of the MD5 digest over the MD5 digests of all parts, a dash, and the number of parts. Returns
    ``"unknown"`` if the storage does not use MD5 digests.
    """
    digests = "".join(_hex_of(part["ETag"]) for part in parts)
    try:
        return f"{hashlib.md5(bytes.fromhex(digests), usedforsecurity=False).hexdigest()}-{len(parts)}"
    except ValueError:  # The ETags of some S3-compatible storages are not MD5 digests.
        return "unknown"


def _hex_of(etag: str) -> str:
    return etag.strip('"')
