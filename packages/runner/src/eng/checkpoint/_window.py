"""A part of a file as a file."""

from __future__ import annotations

import io
from typing import Any, BinaryIO


class Window(io.RawIOBase):
    """The bytes of an open file from `offset` on, `length` of them.

    Args:
        file: the open file, which stays open when the window is closed.
        offset: where the window begins.
        length: number of its bytes.
    """

    def __init__(self, file: BinaryIO, offset: int, length: int) -> None:
        self._file, self._offset, self._length = file, offset, length
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a place in the window."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise OSError(f"seek to {base + offset}, before the beginning")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The place in the window."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Reads into `buffer` and gives the number of bytes; 0 at the window's end."""
        target = memoryview(buffer).cast("B")
        size = max(0, min(len(target), self._length - self._position))
        self._file.seek(self._offset + self._position)
        count: int = self._file.readinto(target[:size])  # type: ignore[attr-defined]  # binary files have it
        self._position += count
        return count
