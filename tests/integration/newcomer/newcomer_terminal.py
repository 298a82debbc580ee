"""A pseudo-terminal with the screen that its user sees."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyte

ROWS = 45
_BEGIN_OF_DRAWING = b"\r\x1b[J"


class Terminal:
    """A process on a pseudo-terminal, and the screen that its user sees."""

    def __init__(self, words: list[str], folder: Path, columns: int, **variables: str) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self.columns = columns
        self.screen = pyte.HistoryScreen(columns, ROWS, history=5000, ratio=0.5)
        self.stream = pyte.ByteStream(self.screen)
        self.number, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1"}
        for name in ("COLUMNS", "LINES", "CI", "NOX_CURRENT_SESSION"):
            environment.pop(name, None)
        environment.update(variables)
        self.process = subprocess.Popen(
            words, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def watch(self, until: str | None = None) -> bool:
        """Feeds the screen until a text stands on it, or until the end; whether the text came."""
        try:
            while data := os.read(self.number, 4096):
                self.stream.feed(data)
                if until is not None and until in "\n".join(self.screen.display):
                    return True
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        return False

    def frames(self) -> Iterator[list[str]]:
        """The screen ahead of each drawing of bars, until the process ends."""
        waiting = b""
        try:
            while data := os.read(self.number, 4096):
                waiting += data
                *whole, waiting = waiting.split(_BEGIN_OF_DRAWING)
                for part in whole:
                    self.stream.feed(part)
                    yield list(self.screen.display)
                    self.stream.feed(_BEGIN_OF_DRAWING)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        self.stream.feed(waiting)

    def lines(self) -> list[str]:
        above = ["".join(row[column].data for column in range(self.columns)) for row in self.screen.history.top]
        return [line.rstrip() for line in [*above, *self.screen.display]]

    def text(self) -> str:
        """What was printed, with the rows of a line that wrapped joined."""
        text = ""
        for line in self.lines():
            text += line if len(line) == self.columns else f"{line}\n"
        return text
