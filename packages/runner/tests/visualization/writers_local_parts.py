"""Helpers of the tests of writers local."""

from __future__ import annotations

import errno
import os


class Disk:
    """Stands for a disk: takes `room` bytes, then refuses as `error` says."""

    def __init__(self, monkeypatch, error: int = errno.ENOSPC) -> None:
        self.room: float = float("inf")
        self.error = error
        self._write, self._open = os.write, os.open
        monkeypatch.setattr(os, "write", self.write)

    def write(self, file: int, data) -> int:
        data = bytes(data)
        taken = int(min(self.room, len(data)))
        if not taken and data:
            raise OSError(self.error, os.strerror(self.error))
        self.room -= taken
        return self._write(file, data[:taken])
