from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("terminal_driver.py")


needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's")


def shown_on(columns: int, environment: dict[str, str]) -> list[str]:
    """All lines, scrolled away ones included, that a terminal of so many columns shows in the end."""
    pyte = pytest.importorskip("pyte")
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **environment}
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE", "CI"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, str(DRIVER)], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    screen = pyte.HistoryScreen(columns, 24, history=5000, ratio=0.5)
    stream = pyte.ByteStream(screen)
    try:
        while data := os.read(ours, 65536):
            stream.feed(data)
    except OSError as error:
        if error.errno != errno.EIO:  # Linux says so when the other end is closed
            raise
    finally:
        os.close(ours)
    assert process.wait(timeout=60) == 0
    above = ["".join(row[column].data for column in range(columns)) for row in screen.history.top]
    return [line.rstrip() for line in [*above, *screen.display]]


@needs_pty
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("columns", "environment"), [(60, {}), (100, {"NO_COLOR": "1"}), (140, {})], ids=str)
def test_a_bar_and_log_lines_never_share_a_line(columns, environment) -> None:
    lines = shown_on(columns, environment)
    assert not [line for line in lines if "it/s" in line or "━" in line]  # the bar is gone, and left nothing behind
    text = re.sub(r"\s+", "", "".join(lines))
    for number in range(5, 61, 5):
        assert text.count(f"Epoch(train)[1][{number}/60]") == 1
    assert sum("INFO" in line for line in lines) == 13
    for line in ("printed by a user", "after the bar"):
        assert sum(line in shown for shown in lines) == 1
    assert r"\x1b]0;title\x07" in text
    # Where lines are as long as the terminal is wide, each log line takes as many rows as it needs and none is empty.
    assert all(line for line in lines[: max(i for i, line in enumerate(lines) if line)])
