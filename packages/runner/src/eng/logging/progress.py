"""Progress bars below the output of a process, on a terminal and nowhere else."""

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
"""Seconds after which reading a file or data shows a bar."""

T = TypeVar("T")
_ERASE_BELOW = "\r\x1b[J"
_SMOOTHING_S = 15.0
_LONGEST_BAR = 40
_SHORTEST_BAR = 4
_SHORTEST_TITLE = 12


class Bar:
    """One line of progress: name, bar, count, rate, remaining time and a note.

    Args:
        title: what progresses.
        total: steps of the whole; None or 0 where nobody knows.
        done: steps that are over at the start.
        unit: of the rate.
        refresh_seconds: between two drawings.
        screen: where it is drawn; None draws nothing.
        delay_seconds: before it is drawn for the first time; above 0 there is no screen yet.

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
        self._next_drawing = time.monotonic() + delay_seconds if self._is_delayed else 0.0

    @property
    def is_shown(self) -> bool:
        """Whether there is a terminal to draw on."""
        return self._screen is not None

    @property
    def is_due(self) -> bool:
        """Whether the next `update` draws; between two drawings an update costs one look at the clock."""
        return (self._screen is not None or self._is_delayed) and time.monotonic() >= self._next_drawing

    def update(self, done: int, note: str | None = None) -> None:
        """Moves the bar.

        Args:
            done: steps that are over.
            note: shown behind the remaining time; None leaves it.
        """
        self.done = done
        self.note = self.note if note is None else note
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
        self._is_delayed = False
        self._screen = _screen()
        if self._screen is not None:
            self._screen.add(self)

    def _measure(self) -> None:
        now = time.monotonic()
        elapsed, steps = now - self._measured_at, self.done - self._measured_done
        if steps <= 0 or elapsed <= 0:
            return
        self._measured_s += elapsed
        weight = max(elapsed / self._measured_s, min(elapsed / _SMOOTHING_S, 1.0))
        self.rate += weight * (steps / elapsed - self.rate)
        self._measured_at, self._measured_done = now, self.done

    def pause(self) -> None:
        """Leaves the time since the last step out of the rate: something else ran."""
        self._measured_at, self._measured_done = time.monotonic(), self.done

    def line(self, columns: int, fancy: bool = True) -> str:
        """The line in at most `columns` characters; what does not fit is left out, the note and the bar last.

        A title longer than a third of the line is cut.

        Args:
            columns: of the terminal.
            fancy: whether the terminal shows more than ASCII.
        """
        count = f"{self.done}/{self.total}" if self.total else str(self.done)
        rate = f"{_number(self.rate)} {self.unit}/s" if self.rate else ""
        parts = [part for part in (count, rate, self._remaining(), self.note) if part]
        title = _cut(self.title, max(columns // 3, _SHORTEST_TITLE), "…" if fancy else ".")
        while len(parts) > 1 and len(f"{title}  {'  '.join(parts)}") > columns:
            parts.pop(-2)
        text = "  ".join(parts)
        room = min(columns - len(title) - len(text) - 3, _LONGEST_BAR)
        if not self.total or room < _SHORTEST_BAR:
            return f"{title} {text}"[:columns]
        filled = round(room * min(max(self.done / self.total, 0.0), 1.0))
        full, empty = ("━", "─") if fancy else ("#", "-")
        return f"{title} {full * filled}{empty * (room - filled)} {text}"

    def _remaining(self) -> str:
        if not self.total or not self.rate or self.done >= self.total:
            return ""
        return f"{clock((self.total - self.done) / self.rate)} left"

    def close(self) -> None:
        """Takes the bar away."""
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
    """A bar below the output of this process, where standard output is a terminal and this is rank 0.

    While it is open, whatever Python code prints on standard output or standard error appears above it, also what a forked
    worker process prints. Several bars stand below one another; the time of the later one does not count in the earlier.

    Args:
        title: what progresses.
        total: steps of the whole; None where nobody knows.
        done: steps that are over already.
        unit: of the rate.
        refresh_seconds: between two drawings.
        delay_seconds: work that is over before leaves no bar. 0 by default.
    """
    delay = delay_seconds if can_draw() else 0.0
    screen = _screen() if can_draw() and not delay else None
    bar = Bar(title, total, done, unit, refresh_seconds, screen, delay)
    if screen is not None:
        screen.add(bar)
    return bar


def track(
    items: Iterable[T], title: str, total: int | None, *, unit: str = "it", delay_seconds: float = 0.0
) -> Iterator[T]:
    """The items, with a bar that counts them; arguments as of :func:`open_bar`."""
    with open_bar(title, total, unit=unit, delay_seconds=delay_seconds) as bar:
        for number, item in enumerate(items, start=1):
            yield item
            bar.update(number)


def print_in_signal_handler(line: str) -> None:
    """Writes a line on standard error, in the place of the bars where there are some; their next drawing puts them below it.

    Safe in a signal handler: one call to the operating system, past Python's buffers and without a lock, either of which the
    interrupted code may hold.

    Args:
        line: ASCII, without line breaks.
    """
    has_bars = _screen_in_use() is not None and _draws(sys.stderr)
    with contextlib.suppress(OSError):
        os.write(2, f"{_ERASE_BELOW if has_bars else chr(10)}{line}\n".encode())


def clock(seconds: float) -> str:
    """A duration as hours, minutes and seconds.

    Example:
        >>> clock(61.2), clock(90000)
        ('0:01:01', '25:00:00')
    """
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"


def _cut(text: str, length: int, mark: str) -> str:
    return text if len(text) <= length else text[: length - 1] + mark


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.3f}"


class _Screen:
    """The bars on the last lines of a terminal, and the streams whose text appears above them.

    The cursor rests on an empty line above the bars. What is written past this class, such as the ``^C`` of the terminal or a
    line of a C library, thus begins on a line of its own, and the next drawing erases everything from the cursor on.

    Args:
        number: file descriptor of the terminal.
        encoding: of the terminal.
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
        if os.getpid() != self.pid:
            return
        with self.lock:
            self.bars.remove(bar)
            for remaining in self.bars:
                remaining.pause()
            if self.bars:
                self.draw()
                return
            self._put(_ERASE_BELOW)
            for guard in self.guards:
                guard.release()

    def draw(self) -> None:
        """Draws all bars anew."""
        if os.getpid() != self.pid:
            return
        with self.lock:
            columns = self._columns()
            lines = "".join(f"\n{bar.line(columns - 1, self.fancy)}" for bar in self.bars)
            begun = "".join(guard.begun for guard in self.guards)
            begun = begun.rpartition("\r")[2][: columns - 1]
            self._put(f"{_ERASE_BELOW}{lines}\x1b[{len(self.bars)}A\r{begun}")

    def erase(self) -> None:
        self._put(_ERASE_BELOW)

    def _columns(self) -> int:
        with contextlib.suppress(OSError):
            return os.get_terminal_size(self.number).columns or 80
        return 80

    def _put(self, text: str) -> None:
        data = text.encode(self.encoding, "replace")
        with contextlib.suppress(OSError):  # the terminal was closed
            while data:
                data = data[os.write(self.number, data) :]


class _Guard:
    """Takes the place of a stream's ``write``, so that text appears above the bars whoever holds the stream.

    The stream itself, which another library may hold, stays in its place. A line that is not ended yet is shown on the line
    above the bars and written when it ends.
    """

    def __init__(self, stream: Any, screen: _Screen) -> None:
        self.stream, self.screen = stream, screen
        self.begun = ""
        self.had_write = "write" in getattr(stream, "__dict__", {})
        self.write_through = stream.write
        stream.write = self.write

    def write(self, text: str) -> int:
        if os.getpid() != self.screen.pid:  # of a forked worker: the lock may be held by a thread that it does not have
            self.write_through(f"{_ERASE_BELOW}{text}" if text.strip("\n") else text)
            return len(text)
        with self.screen.lock:
            lines, newline, self.begun = (self.begun + text).rpartition("\n")
            if newline:
                self.screen.erase()
                self.write_through(lines + newline)
                self.stream.flush()
            self.screen.draw()
        return len(text)

    def release(self) -> None:
        """Gives the stream its ``write`` back, and writes what is left."""
        if self.had_write:
            self.stream.write = self.write_through
        else:
            del self.stream.write
        unfinished, self.begun = self.begun, ""
        if unfinished:
            self.stream.write(unfinished)


def _screen() -> _Screen | None:
    """The screen that bars are drawn on now, or a new one; None where standard output is no terminal."""
    in_use = _screen_in_use()
    stream: Any = sys.stdout
    if in_use is not None or not _draws(stream):
        return in_use
    screen = _Screen(stream.fileno(), getattr(stream, "encoding", None) or "utf-8")
    terminals = [terminal for terminal in dict.fromkeys((stream, sys.stderr)) if _draws(terminal)]
    try:
        screen.guard(terminals)
    except AttributeError:  # a stream whose write cannot be replaced
        return None
    return screen


def _screen_in_use() -> _Screen | None:
    guard = getattr(getattr(sys.stdout, "write", None), "__self__", None)
    return guard.screen if isinstance(guard, _Guard) and guard.screen.pid == os.getpid() else None


def can_draw() -> bool:
    """Whether a bar would be drawn: standard output leads to a terminal, and this is rank 0 and no worker of a dataloader."""
    return get_rank() == 0 and get_worker_info() is None and _draws(sys.stdout)


def _draws(stream: Any) -> bool:
    """Whether a stream leads to a terminal that understands escape sequences."""
    if os.environ.get("TERM") == "dumb" or (os.name == "nt" and "WT_SESSION" not in os.environ):
        return False
    try:
        return bool(stream.isatty()) and os.isatty(stream.fileno()) and hasattr(stream, "__dict__")
    except (AttributeError, OSError, ValueError):  # closed, or no file at all
        return False


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
