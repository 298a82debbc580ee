"""Progress bars, which are drawn below the output of a process if standard output is a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from torch.utils.data import get_worker_info

from eng.dist import get_rank

__all__ = ["LONG_LOAD_S", "Bar", "can_draw", "clock", "open_bar", "print_in_signal_handler", "track"]

LONG_LOAD_S = 1.0
"""Seconds of reading a file or a dataset after which a bar is shown."""

T = TypeVar("T")
_ERASE_BELOW = "\r\x1b[J"
_SMOOTHING_S = 15.0
_LONGEST_BAR = 40
_SHORTEST_BAR = 4
_SHORTEST_TITLE = 12


class Bar:
    """A progress bar in one line: title, bar, count, rate, remaining time and a note.

    Args:
        title: name of the task.
        total: total number of steps; None or 0 if it is unknown.
        done: number of completed steps at the start.
        unit: unit of a step, for the rate.
        refresh_seconds: seconds between two drawings.
        screen: terminal to draw on; None draws nothing.
        delay_seconds: seconds before the first drawing. With a delay the terminal is looked up at the first drawing.

    Example:
        >>> with open_bar("copy", total=3) as bar:  # not on a terminal: nothing is drawn
        ...     bar.update(1)
        >>> bar.is_shown
        False
    """

    def __init__(
        self,
        title: str,
        total: int | None,
        done: int,
        unit: str,
        refresh_seconds: float,
        screen: _Screen | None,
        delay_seconds: float = 0.0,
    ) -> None:
        self.title, self.total, self.done, self.unit = title, total, done, unit
        self.note = ""
        self.rate = 0.0
        self._refresh_seconds = refresh_seconds
        self._screen = screen
        self._measured_at, self._measured_done, self._measured_s = time.monotonic(), done, 0.0
        self._is_delayed = delay_seconds > 0
        self._next_drawing = 0.0
        if self._is_delayed:
            self._next_drawing = time.monotonic() + delay_seconds

    @property
    def is_shown(self) -> bool:
        """Whether the bar is drawn on a terminal."""
        return self._screen is not None

    @property
    def is_due(self) -> bool:
        """Whether the next ``update`` will draw the bar; if not, an update only reads the clock."""
        return (self._screen is not None or self._is_delayed) and time.monotonic() >= self._next_drawing

    def update(self, done: int, note: str | None = None) -> None:
        """Sets the number of completed steps, and draws the bar if ``refresh_seconds`` have passed.

        Args:
            done: number of completed steps.
            note: text to show after the remaining time; None (default) leaves the present text.
        """
        self.done = done
        if note is not None:
            self.note = note
        if not self.is_due:
            return
        if self._is_delayed:
            self._appear()
        if self._screen is None:
            return
        self._measure()
        self._next_drawing = time.monotonic() + self._refresh_seconds
        self._screen.draw()

    def _appear(self) -> None:
        """Looks the terminal up and draws the bar for the first time, after its delay is over."""
        self._is_delayed = False
        self._screen = _screen()
        if self._screen is not None:
            self._screen.add(self)

    def _measure(self) -> None:
        """Updates the rate: the mean at first, then an exponential average over about 15 seconds."""
        now = time.monotonic()
        elapsed, steps = now - self._measured_at, self.done - self._measured_done
        if steps <= 0 or elapsed <= 0:
            return
        self._measured_s += elapsed
        # At first the weight is the share of this step in the measured time, which gives the mean of all steps.
        weight = max(elapsed / self._measured_s, min(elapsed / _SMOOTHING_S, 1.0))
        self.rate += weight * (steps / elapsed - self.rate)
        self._measured_at, self._measured_done = now, self.done

    def pause(self) -> None:
        """Excludes the time since the last update from the rate, because another task ran in between."""
        self._measured_at, self._measured_done = time.monotonic(), self.done

    def line(self, columns: int, fancy: bool = True) -> str:
        """Returns the bar as a line of at most ``columns`` characters.

        A title longer than a third of the line is cut. If the line is too narrow, first the remaining time and the rate are
        left out, then the count, and the bar itself if fewer than four characters remain for it.

        Args:
            columns: width of the terminal.
            fancy: whether the terminal can display characters beyond ASCII.
        """
        full, empty, ellipsis = "#", "-", "."
        if fancy:
            full, empty, ellipsis = "━", "─", "…"
        count, rate = str(self.done), ""
        if self.total:
            count = f"{self.done}/{self.total}"
        if self.rate:
            rate = f"{_rate_text(self.rate)} {self.unit}/s"
        parts = [part for part in (count, rate, self._remaining(), self.note) if part]
        title = _cut(self.title, max(columns // 3, _SHORTEST_TITLE), ellipsis)
        # The last part stays; the parts before it are left out from right to left until the line fits.
        while len(parts) > 1 and len(f"{title}  {'  '.join(parts)}") > columns:
            parts.pop(-2)
        text = "  ".join(parts)
        bar_width = min(columns - len(title) - len(text) - 3, _LONGEST_BAR)
        if not self.total or bar_width < _SHORTEST_BAR:
            return f"{title} {text}"[:columns]
        filled = round(bar_width * min(max(self.done / self.total, 0.0), 1.0))
        return f"{title} {full * filled}{empty * (bar_width - filled)} {text}"

    def _remaining(self) -> str:
        if not self.total or not self.rate or self.done >= self.total:
            return ""
        return f"{clock((self.total - self.done) / self.rate)} left"

    def close(self) -> None:
        """Removes the bar from the terminal."""
        screen, self._screen, self._is_delayed = self._screen, None, False
        if screen is not None:
            screen.remove(self)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_bar(
    title: str,
    total: int | None,
    done: int = 0,
    *,
    unit: str = "it",
    refresh_seconds: float = 0.2,
    delay_seconds: float = 0.0,
) -> Bar:
    """Opens a progress bar below the output of this process, on rank 0 and if standard output is a terminal.

    While the bar is open, text that Python code prints to standard output or standard error appears above it, also text of
    forked worker processes. Several open bars are drawn below one another. The time in which a later bar is open is not
    included in the rate of an earlier one.

    Args:
        title: name of the task.
        total: total number of steps; None if it is unknown.
        done: number of completed steps.
        unit: unit of a step, for the rate.
        refresh_seconds: seconds between two drawings.
        delay_seconds: seconds before the bar appears, so that a short task shows none. 0 by default.
    """
    delay, screen = 0.0, None
    if can_draw():
        delay = delay_seconds
        if not delay:
            screen = _screen()
    bar = Bar(title, total, done, unit, refresh_seconds, screen, delay)
    if screen is not None:
        screen.add(bar)
    return bar


def track(
    items: Iterable[T], title: str, total: int | None, *, unit: str = "it", delay_seconds: float = 0.0
) -> Iterator[T]:
    """Yields the items and counts them in a progress bar; see :func:`open_bar` for the arguments."""
    with open_bar(title, total, unit=unit, delay_seconds=delay_seconds) as bar:
        for number, item in enumerate(items, start=1):
            yield item
            bar.update(number)


def print_in_signal_handler(line: str) -> None:
    """Writes a line to standard error from a signal handler. Open progress bars are erased, and drawn again later.

    The line is written with one system call, because the interrupted code may be using Python's buffers or have locked
    the screen of the bars.

    Args:
        line: ASCII text without line breaks.
    """
    start = "\n"
    if _screen_in_use() is not None and _draws(sys.stderr):
        start = _ERASE_BELOW
    with contextlib.suppress(OSError):
        os.write(2, f"{start}{line}\n".encode())


def clock(seconds: float) -> str:
    """Formats a duration as hours, minutes and seconds.

    Example:
        >>> clock(61.2), clock(90000)
        ('0:01:01', '25:00:00')
    """
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"


def _cut(text: str, length: int, mark: str) -> str:
    if len(text) <= length:
        return text
    return text[: length - 1] + mark


def _rate_text(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    if value >= 1:
        return f"{value:.1f}"
    return f"{value:.3f}"


class _Screen:
    """Draws the bars on the last lines of a terminal, below the text of standard output and standard error.

    After drawing, the cursor is on an empty line above the bars. Text that does not go through Python, such as the ``^C``
    of the terminal or output of a C library, therefore begins on its own line, and the next drawing erases the old bars
    below it.

    Args:
        number: file descriptor of the terminal.
        encoding: text encoding of the terminal.
    """

    def __init__(self, number: int, encoding: str) -> None:
        self.number, self.encoding = number, encoding
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.bars: list[Bar] = []
        self.guards: list[_Guard] = []
        self.fancy = _can_encode("━─…", encoding)

    def guard(self, streams: Iterable[Any]) -> None:
        self.guards = [_Guard(stream, self) for stream in streams]

    def add(self, bar: Bar) -> None:
        with self.lock:
            self.bars.append(bar)
            self.draw()

    def remove(self, bar: Bar) -> None:
        """Removes a progress bar; after the last bar, the streams get their original ``write`` methods back.

        A process that was forked from this one does nothing, because the bars belong to the parent process.
        """
        if os.getpid() != self.pid:
            return
        with self.lock:
            self.bars.remove(bar)
            for remaining in self.bars:
                remaining.pause()
            if self.bars:
                self.draw()
                return
            self._write_to_terminal(_ERASE_BELOW)
            for guard in self.guards:
                guard.release()

    def draw(self) -> None:
        """Erases the bars and draws all of them with their present values."""
        if os.getpid() != self.pid:
            return
        with self.lock:
            columns = self._columns()
            lines = "".join(f"\n{bar.line(columns - 1, self.fancy)}" for bar in self.bars)
            incomplete_line = "".join(guard.incomplete_line for guard in self.guards)
            # A carriage return restarts the line, so only the text after the last carriage return is visible.
            incomplete_line = incomplete_line.rpartition("\r")[2][: columns - 1]
            # Draw the bars below the cursor, move the cursor up to the empty line again and show the incomplete line.
            self._write_to_terminal(f"{_ERASE_BELOW}{lines}\x1b[{len(self.bars)}A\r{incomplete_line}")

    def erase(self) -> None:
        self._write_to_terminal(_ERASE_BELOW)

    def _columns(self) -> int:
        with contextlib.suppress(OSError):
            return os.get_terminal_size(self.number).columns or 80
        return 80

    def _write_to_terminal(self, text: str) -> None:
        """Writes to the terminal's file descriptor, because the streams' ``write`` methods are replaced."""
        data = text.encode(self.encoding, "replace")
        with contextlib.suppress(OSError):  # The terminal may have been closed.
            while data:
                data = data[os.write(self.number, data) :]


class _Guard:
    """Replaces the method ``write`` of a stream, so that written text appears above the progress bars.

    The stream object itself is not replaced, because other code may have a reference to the object. An incomplete line
    is shown on the line above the bars, and is written to the stream when its line break arrives.
    """

    def __init__(self, stream: Any, screen: _Screen) -> None:
        self.stream, self.screen = stream, screen
        self.incomplete_line = ""
        self.had_write = "write" in getattr(stream, "__dict__", {})
        self.write_through = stream.write
        stream.write = self.write

    def write(self, text: str) -> int:
        """Writes the complete lines of a text above the bars; an incomplete line waits for its end."""
        if os.getpid() != self.screen.pid:
            # A forked worker must not wait for the lock: a thread that exists only in the parent process may hold the
            # worker's copy of the lock, and never releases it.
            if text.strip("\n"):
                self.write_through(_ERASE_BELOW + text)
            else:
                self.write_through(text)
            return len(text)
        with self.screen.lock:
            lines, newline, self.incomplete_line = (self.incomplete_line + text).rpartition("\n")
            if newline:
                self.screen.erase()
                self.write_through(lines + newline)
                self.stream.flush()
            self.screen.draw()
        return len(text)

    def release(self) -> None:
        """Restores the stream's original ``write``, and writes the incomplete line."""
        if self.had_write:
            self.stream.write = self.write_through
        else:
            del self.stream.write
        incomplete_line, self.incomplete_line = self.incomplete_line, ""
        if incomplete_line:
            self.stream.write(incomplete_line)


def _screen() -> _Screen | None:
    """Returns the screen that is in use, or a new one; None if standard output is not a terminal."""
    in_use = _screen_in_use()
    stream: Any = sys.stdout
    if in_use is not None or not _draws(stream):
        return in_use
    screen = _Screen(stream.fileno(), getattr(stream, "encoding", None) or "utf-8")
    terminals = [terminal for terminal in dict.fromkeys((stream, sys.stderr)) if _draws(terminal)]
    try:
        screen.guard(terminals)
    except AttributeError:
        # The method `write` of the stream cannot be replaced, so text of the process would be written into the bars.
        return None
    return screen


def _screen_in_use() -> _Screen | None:
    """Returns the screen on which this process has open bars; None if no bar is open."""
    guard = getattr(getattr(sys.stdout, "write", None), "__self__", None)
    if isinstance(guard, _Guard) and guard.screen.pid == os.getpid():
        return guard.screen
    return None


def can_draw() -> bool:
    """Whether bars are drawn: on rank 0, outside dataloader workers, and if standard output is a terminal."""
    return get_rank() == 0 and get_worker_info() is None and _draws(sys.stdout)


def _draws(stream: Any) -> bool:
    """Whether a stream is a terminal that supports escape sequences."""
    if os.environ.get("TERM") == "dumb" or (os.name == "nt" and "WT_SESSION" not in os.environ):
        return False
    try:
        return bool(stream.isatty()) and os.isatty(stream.fileno()) and hasattr(stream, "__dict__")
    except (AttributeError, OSError, ValueError):
        # The stream is None, closed, or has no file descriptor.
        return False


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
