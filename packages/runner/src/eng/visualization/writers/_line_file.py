"""A file that lines are added to, on a disk that may be full for a while."""

from __future__ import annotations

import logging
import os
from pathlib import Path

__all__ = ["LineFile"]

_LOGGER = logging.getLogger(__name__)
_MAX_WAITING_BYTES = 1 << 25


class LineFile:
    """Adds lines to a file; lines that the disk does not take wait in memory and are tried again with the next one.

    The first failure is logged. Beyond `max_waiting_bytes` further lines are lost, which is logged as well: a run goes on
    whatever happens to its logs.

    Args:
        path: of the file.
        max_waiting_bytes: of lines that may wait, 32 MiB by default.
    """

    def __init__(self, path: Path, max_waiting_bytes: int = _MAX_WAITING_BYTES) -> None:
        self.path = path
        self.max_waiting_bytes = max_waiting_bytes
        self.num_lost = 0
        self._waiting = bytearray()
        self._has_failed = False

    def append(self, text: str) -> None:
        """Adds a line, behind those that wait."""
        line = text.encode()
        if self._waiting and len(self._waiting) + len(line) > self.max_waiting_bytes:
            self.flush()
        if len(self._waiting) + len(line) > self.max_waiting_bytes:
            self._lose_line()
            return
        self._waiting += line
        self.flush()

    def flush(self) -> None:
        """Tries to write what waits."""
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
        """Tries once more, and tells what is lost."""
        self.flush()
        if self._waiting:
            num_lines = self._waiting.count(b"\n") + self.num_lost
            _LOGGER.warning("%s could not be written: %d lines of it are lost", self.path, num_lines)
            self._waiting.clear()

    def forget(self) -> None:
        """Forgets what waits, as the file is written anew."""
        self._waiting.clear()

    def _lose_line(self) -> None:
        if not self.num_lost:
            _LOGGER.warning(
                "%s cannot be written and %d bytes wait: further lines are lost", self.path, len(self._waiting)
            )
        self.num_lost += 1

    def _write(self) -> None:
        """Writes as much as the disk takes; Python's layers above these calls would take several times as long."""
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the folder was not made, or somebody removed it
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            while self._waiting:  # a file system that is nearly full takes a part, and then raises
                del self._waiting[: os.write(file, self._waiting)]
        finally:
            os.close(file)
