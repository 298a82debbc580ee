"""The bar and the log lines on a real terminal, and lines whose reader is gone."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eng.logging import MMLogger
from eng.logging._terminal import printable

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


@pytest.mark.parametrize("ending", ["head", "closed"])
def test_a_reader_that_goes_away_is_met_with_silence(tmp_path, ending) -> None:
    script = tmp_path / "talk.py"
    script.write_text(
        "import sys\nfrom eng.logging import MMLogger\n"
        f"logger = MMLogger.get_instance('talk', log_file={str(tmp_path / 'talk.log')!r})\n"
        "for number in range(2000):\n    logger.info('line %d %s', number, 'x' * 100)\n"
        "print('printed at the end')\nsys.exit(7)\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    if ending == "head":
        process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=60) == 7
    process.stderr.close()
    assert errors == b""
    assert len((tmp_path / "talk.log").read_text().splitlines()) == 2000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("loss", "loss"), ("größe\tb\nc", "größe\tb\nc"), ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[2J", r"\x1b[2J"), ("\x1b]0;t\x07", r"\x1b]0;t\x07"), ("a\rb", r"a\rb"), ("\x9b2J", r"\x9b2J"),
        ("\x1b[31;2Hx", r"\x1b[31;2Hx"), ("a\u202eb", r"a\u202eb"), ("\x00", r"\x00"),
    ],
)  # fmt: skip
def test_control_characters_are_spelled_out(text, shown) -> None:
    assert printable(text) == shown
    assert printable(text, one_line=True).isprintable()


def test_colours_are_spelled_out_in_a_name() -> None:
    assert printable("a\n\x1b[31m", one_line=True) == r"a\n\x1b[31m"


def test_a_logger_closes_its_file_once_it_is_gone(tmp_path) -> None:
    logger = MMLogger("of this test", log_file=str(tmp_path / "a.log"))
    logger.info("one")
    assert (tmp_path / "a.log").read_text().endswith("one\n")
    for handler in logger.handlers:
        handler.close()
