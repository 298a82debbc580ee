"""What a handler does that cannot write: one line, and the run goes on."""

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
    """Takes the place of ``handler.handleError``, which prints a traceback for each line.

    A reader that is gone (``| head``, a terminal that was closed) is met with silence. Of a disk that is full, the first
    failure is reported on standard error; handlers of files try again with each line.

    Args:
        handler: whose failures these are.
        target: what it writes to, for the report.
    """

    def __init__(self, handler: logging.Handler, target: str) -> None:
        self._otherwise = handler.handleError
        self._target = target
        self._has_reported = False

    def __call__(self, record: logging.LogRecord) -> None:
        """Called by logging while the exception is handled."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self._otherwise(record)
            return
        if error.errno in _GONE:
            silence(sys.stdout)
            return
        if not self._has_reported:
            self._has_reported = True
            with contextlib.suppress(OSError, ValueError):  # standard error may be on the same disk, or closed
                print(f"eng: log lines cannot be written to {self._target}: {error}", file=sys.stderr)  # noqa: T201


def silence(stream: Any) -> None:
    """Leads a stream whose reader is gone to nowhere, so that neither a line nor the end of the process raises again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, number)
        finally:
            os.close(nowhere)
