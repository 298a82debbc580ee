"""What a person sees where a run ends early while bars are drawn: Ctrl-C, SIGTERM, an exception; in training and validation."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyte")
from newcomer_terminal import Terminal

DRIVER = Path(__file__).with_name("stopped_bars_driver.py")
ANSWER = "Ctrl-C: the run ends after this iteration; a second Ctrl-C stops it at once"
pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's"),
]


@pytest.mark.parametrize("columns", [60, 140])
def test_no_line_is_drawn_over_a_bar_where_a_run_ends_early(tmp_path, columns) -> None:
    terminal = Terminal([sys.executable, str(DRIVER), str(tmp_path)], tmp_path, columns)
    frames = list(terminal.frames())
    assert terminal.process.wait(timeout=60) == 0, terminal.text()
    drawn = [line for frame in frames for line in frame if "/40" in line and "Epoch(" not in line]
    assert any(line.startswith("train ") for line in drawn)
    assert any(line.startswith("val ") for line in drawn)
    assert not [line for line in drawn if not re.match(r"(train|val) [━─]* ?\d+/40", line)]
    lines = terminal.lines()
    printed = "\n".join(lines)
    assert not re.search("[━─]|it/s", printed)  # nothing of a bar is left, on no line
    answers = [line for line in terminal.text().splitlines() if "Ctrl-C" in line]
    assert answers == [ANSWER, ANSWER]  # in training and in validation, with nothing behind it
    for cause in ("SIGINT", "SIGTERM"):
        assert re.sub(r"\s", "", printed).count(f"-eng-WARNING-stoppedby{cause}") == 2
    assert printed.count("\nValueError: the fifth call ends the run\n") == 2
    for case in ("loss SIGINT", "loss SIGTERM", "loss error", "predict SIGINT", "predict SIGTERM", "predict error"):
        assert f"{case}: over" in lines
