"""LineFile: appends lines to a file, and keeps them in memory while the disk is full."""

from __future__ import annotations

import logging
import os
from pathlib import Path

__all__ = ["LineFile"]

_LOGGER = logging.getLogger(__name__)
_MAX_WAITING_BYTES = 1 << 25


class LineFile:
    """Appends lines to a file; does not raise errors of the disk, since a run must not end because of its logs.

    Lines that cannot be written stay in memory, and are written together with a later line. The first failure is
    logged. When ``max_waiting_bytes`` are in memory, further lines are lost, with a warning.

    Args:
        path: path of the file.
        max_waiting_bytes: maximum size of the lines in memory. 32 MiB by default.
    """

    def __init__(self, path: Path, max_waiting_bytes: int = _MAX_WAITING_BYTES) -> None:
        self.path = path
        self.max_waiting_bytes = max_waiting_bytes
        self.num_lost = 0
        self._waiting = bytearray()
        self._has_failed = False

    def append(self, text: str) -> None:
        """Appends a line; tries to write it and all earlier lines that could not be written."""
        line = text.encode()
        if self._waiting and len(self._waiting) + len(line) > self.max_waiting_bytes:
            self.flush()
        if len(self._waiting) + len(line) > self.max_waiting_bytes:
            self._lose_line()
            return
        self._waiting += line
        self.flush()

    def flush(self) -> None:
        """Tries to write the lines that could not be written before."""
        if not self._waiting:
            return
        try:
            self._write()
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                _LOGGER.warning(
                    "%s cannot be written (%s): the run goes on, its lines wait in memory and are tried again",
                    self.path,
                    error.strerror or error,
                )
            return
        if self._has_failed:
            self._has_failed = False
            _LOGGER.warning("%s is written again; %d lines were lost", self.path, self.num_lost)

    def close(self) -> None:
        """Tries a last time to write the lines that could not be written, and warns about lost lines."""
        self.flush()
        if self._waiting:
            num_lines = self._waiting.count(b"\n") + self.num_lost
            _LOGGER.warning("%s could not be written: %d lines of it are lost", self.path, num_lines)
            self._waiting.clear()

    def forget(self) -> None:
        """Discards the lines that could not be written; called when the file is replaced by a new one."""
        self._waiting.clear()

    def _lose_line(self) -> None:
        if not self.num_lost:
            _LOGGER.warning(
                "%s cannot be written and %d bytes wait: further lines are lost", self.path, len(self._waiting)
            )
        self.num_lost += 1

    def _write(self) -> None:
        """Writes the lines in memory to the file, and removes them from memory.

        System calls are used, because opening and closing a Python file object takes several times as long.
        """
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except FileNotFoundError:
            # The folder of the file could not be created at the beginning of the run, or was deleted during the run.
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            # On a nearly full disk one call of os.write writes only a part of the data, and the next call raises.
            while self._waiting:
                del self._waiting[: os.write(file, self._waiting)]
        finally:
            os.close(file)
