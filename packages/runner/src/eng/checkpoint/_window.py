"""Window: a part of a file, read like a separate file."""

from __future__ import annotations

import io
from typing import Any, BinaryIO


class Window(io.RawIOBase):
    """A part of an open file that can be read like a separate file: `length` bytes from `offset` on.

    Args:
        file: the open file, which stays open when the window is closed.
        offset: position of the window's first byte in the file.
        length: number of bytes in the window.
    """

    def __init__(self, file: BinaryIO, offset: int, length: int) -> None:
        self._file = file
        self._offset = offset
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        """Returns True: a window can be read."""
        return True

    def seekable(self) -> bool:
        """Returns True: a window has random access."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a position, counted in bytes from the beginning of the window, and returns the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise OSError(f"seek to {base + offset}, before the beginning")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Returns the current position, counted in bytes from the beginning of the window."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Reads bytes from the window into `buffer`, and returns their number; 0 at the end of the window."""
        target = memoryview(buffer).cast("B")
        size = max(0, min(len(target), self._length - self._position))
        self._file.seek(self._offset + self._position)
        count: int = self._file.readinto(target[:size])  # type: ignore[attr-defined]  # files have readinto
        self._position += count
        return count
