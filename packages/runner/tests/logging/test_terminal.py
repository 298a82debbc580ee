"""The bar and the log lines on a real terminal, and lines whose reader is gone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from eng.logging import MMLogger
from eng.logging._terminal import printable


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
