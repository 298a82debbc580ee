"""Shows runs in a terminal: their status, and their losses and metrics as small curves."""

from __future__ import annotations

import math
import os
import select
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TextIO

from eng.logging._terminal import printable
from eng.visualization.curves import in_order, is_timing

from .follow import Watched, Watcher

__all__ = ["screen_lines", "show"]

_BARS = ("▁▂▃▄▅▆▇█", "_.-=+*%#")
_LONGEST_CURVE = 60
_MOST_CURVES = 6
# Control sequences that switch to the terminal's alternate screen without a cursor, and back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def screen_lines(watched: Sequence[Watched], columns: int, rows: int, *, fancy: bool = True) -> list[str]:
    """Returns the lines for a terminal: for each run a line with its status, and a line for each curve.

    Args:
        watched: the runs.
        columns: width of the terminal.
        rows: height of the terminal; the last line counts the lines that do not fit.
        fancy: whether the terminal can show characters other than ASCII.
    """
    lines = [line[:columns] for run in watched for line in _run_lines(run, columns, fancy)]
    if len(lines) > rows:
        hidden = len(lines) - rows + 1
        last = f"{hidden} more lines"
        if fancy:
            last = f"… {last}"
        lines = [*lines[: rows - 1], last[:columns]]
    return lines


def _run_lines(run: Watched, columns: int, fancy: bool) -> Iterator[str]:
    """Yields the lines of one run: its title with its status, and a small curve for each value."""
    yield printable(f"{run.curves.title}  {run.status}", one_line=True)
    shown = [name for name in in_order(run.curves.names) if not is_timing(name)][:_MOST_CURVES]
    width = max((len(printable(name, one_line=True)) for name in shown), default=0)
    width = min(width, max(columns // 3, 8))
    for name in shown:
        values = next(points[1] for key, points in run.curves.points.items() if key[0] == name)
        title = printable(name, one_line=True)[:width].ljust(width)
        last = f"{values[-1]:.5g}"
        curve_width = min(columns - width - len(last) - 6, _LONGEST_CURVE)
        yield f"  {title}  {_small_curve(values, curve_width, fancy)}  {last}"


def _small_curve(values: Sequence[float], width: int, fancy: bool) -> str:
    """Draws a curve as a row of bars; each bar is the mean of some consecutive values, blank if none is finite.

    Args:
        values: the values of the curve.
        width: largest number of bars.
        fancy: whether the terminal can show characters other than ASCII.
    """
    if width < 1:
        return ""
    means = [_mean(stretch) for stretch in _stretches(values, width)]
    finite = [mean for mean in means if mean is not None]
    if not finite:
        return "not finite"[:width]
    if fancy:
        bars = _BARS[0]
    else:
        bars = _BARS[1]
    low, span = min(finite), max(finite) - min(finite)

    def bar(mean: float | None) -> str:
        if mean is None:
            return " "
        level = 0.5
        if span:
            level = (mean - low) / span
        return bars[min(int(level * len(bars)), len(bars) - 1)]

    return "".join(map(bar, means))


def _stretches(values: Sequence[float], count: int) -> Iterator[Sequence[float]]:
    """Splits values into at most ``count`` consecutive parts of nearly equal length."""
    count = min(count, len(values))
    ends = [len(values) * number // count for number in range(count + 1)]
    return (values[begin:end] for begin, end in pairwise(ends))


def _mean(values: Sequence[float]) -> float | None:
    """Returns the mean of the finite values; None if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        return sum(finite) / len(finite)
    return None


def show(watcher: Watcher, interval_s: float) -> None:
    """Shows the runs until ``q`` or Ctrl-C; if standard output is no terminal, prints them once as plain text."""
    stream = sys.stdout
    if not stream.isatty():
        stream.write("\n".join([*screen_lines(watcher.look(), 100, 10_000, fancy=_is_fancy(stream)), ""]))
        return
    with _whole_screen(stream):
        while True:
            began = time.monotonic()
            size = os.get_terminal_size(stream.fileno())
            columns, rows = size.columns or 80, size.lines or 24
            lines = screen_lines(watcher.look(), columns - 1, rows - 1, fancy=_is_fancy(stream))
            lines.append("q or Ctrl-C ends it"[: columns - 1])
            stream.write("\x1b[H" + "\x1b[K\r\n".join(lines) + "\x1b[K\x1b[J")
            stream.flush()
            if _quits(max(interval_s, 4 * (time.monotonic() - began))):
                return


@contextmanager
def _whole_screen(stream: TextIO) -> Iterator[None]:
    """Switches to the terminal's alternate screen without echo of keys, and restores the terminal at the end."""
    before = _listen_to_keys()
    stream.write(_ENTER)
    try:
        yield
    finally:
        stream.write(_LEAVE)
        stream.flush()
        if before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _listen_to_keys() -> Any:
    """Makes the terminal deliver keys at once; returns its earlier settings, or None without a Unix terminal."""
    try:
        import termios
        import tty

        before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
    except (ImportError, OSError, ValueError):
        return None
    except Exception as error:  # termios.error derives directly from Exception, and termios exists on Unix only.
        if type(error).__module__ != "termios":
            raise
        return None
    return before


def _quits(seconds: float) -> bool:
    """Waits for some seconds; returns True at once if the user presses ``q``."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not sys.stdin.isatty():
            time.sleep(left)
            return False
        ready, _, _ = select.select([sys.stdin], [], [], left)
        if ready and os.read(sys.stdin.fileno(), 1) in (b"q", b"Q", b""):
            return True
    return False


def _is_fancy(stream: TextIO) -> bool:
    """Whether the encoding of an output stream has the block characters of which curves are drawn."""
    try:
        _BARS[0].encode(stream.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
