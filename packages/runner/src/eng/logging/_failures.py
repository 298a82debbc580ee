"""Handling of write errors in log handlers: one line on standard error instead of a traceback per log record."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from typing import Any

__all__ = ["OneReport", "silence"]

_GONE = (errno.EPIPE, errno.EIO, errno.ESHUTDOWN)


class OneReport:
    """Replaces ``handler.handleError``, which prints a traceback for each record that cannot be written.

    If the reader of the output has ended (``| head``, a closed terminal), further output is discarded without a
    message. Of other write errors, such as a full disk, only the first one is reported on standard error. The handler
    still tries to write each later record.

    Args:
        handler: the log handler whose write errors are reported.
        target: name of the file or stream that the handler writes to, for the report.
    """

    def __init__(self, handler: logging.Handler, target: str) -> None:
        self._default_handler = handler.handleError
        self._target = target
        self._has_reported = False

    def __call__(self, record: logging.LogRecord) -> None:
        """Reports the exception that is being handled; ``logging`` calls it inside an ``except`` block."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self._default_handler(record)
            return
        if error.errno in _GONE:
            silence(sys.stdout)
            return
        if not self._has_reported:
            self._has_reported = True
            # Standard error may be redirected to the same full disk, or be closed. An error of this print is therefore
            # ignored.
            with contextlib.suppress(OSError, ValueError):
                print(f"eng: log lines cannot be written to {self._target}: {error}", file=sys.stderr)  # noqa: T201


def silence(stream: Any) -> None:
    """Redirects a stream whose reader has ended to the null device.

    Otherwise each further line that is written to the stream would raise an error again, and so would the flush at the
    end of the process.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, number)
        finally:
            os.close(nowhere)
