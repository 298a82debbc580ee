"""Bars of training, validation, test, inference and long loads as a person sees them, and where there are none."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyte")
from newcomer_terminal import Terminal

DRIVER = Path(__file__).with_name("bars_driver.py")
pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's"),
]
TITLES = (
    "load Annotated", "train", "val", "test", "inference", "load weights.pth", "download remote.pth", "skip",
)  # fmt: skip


def shown_bars(frames: list[list[str]]) -> dict[str, list[str]]:
    """For each title, the lines of its bar."""
    bars: dict[str, list[str]] = {title: [] for title in TITLES}
    for frame in frames:
        for line in map(str.rstrip, frame):
            # Narrow screens cut a title to a third of their width.
            title = next((title for title in TITLES if re.match(rf"{title[:18]}\S*…? [━\d]", line)), None)
            if title is not None:
                bars[title].append(line)
    return bars


@pytest.mark.parametrize(
    ("columns", "around", "variables"),
    [
        (60, None, {"TERM": "screen-256color"}),
        (100, "script", {"TERM": "tmux-256color", "NO_COLOR": "1"}),
        (140, None, {}),
    ],
    ids=str,
)
def test_each_bar_has_rate_and_remaining_time_and_shares_no_line(tmp_path, columns, around, variables) -> None:
    words = [sys.executable, str(DRIVER), str(tmp_path)]
    if around is not None and shutil.which(around):  # a terminal in the terminal, as a recording or ssh has it
        words = [around, "-qefc", shlex.join(words), "/dev/null"]
    terminal = Terminal(words, tmp_path, columns, **variables)
    frames = list(terminal.frames())
    assert terminal.process.wait(timeout=60) == 0, terminal.text()
    bars = shown_bars(frames)
    for title in TITLES:
        assert any(re.search(r" [\d.]+ \w+/s ", line) for line in bars[title]), (title, bars[title])
        assert any(re.search(r" \d:\d\d:\d\d left", line) for line in bars[title]), (title, bars[title])
        assert max(map(len, bars[title])) < columns
    assert any(re.search(r"loss \d+\.\d{4}$", line) for line in bars["train"]), bars["train"]
    assert not [line for frame in frames for line in frame if "/s " in line and re.search("INFO|printed|written", line)]
    text = terminal.text()
    assert not re.search(r"\w/s |━", text)  # the bars are gone, and left nothing behind
    number = int(re.search(r"^(\d+) lines were printed", text, re.M)[1])
    text = re.sub(r"\s", "", text)  # a line may wrap at a space
    for kind in ("printedline{}endshere", "logline{},writtenwhileabarstandsbelowit,endshere"):
        assert [text.count(kind.format(line)) for line in range(1, number + 1)] == [1] * number


def test_there_is_no_bar_in_a_file(tmp_path) -> None:
    with (tmp_path / "out.txt").open("w") as file:
        call = [sys.executable, str(DRIVER), str(tmp_path)]
        subprocess.run(call, stdout=file, stderr=subprocess.STDOUT, timeout=100, check=True)
    text = (tmp_path / "out.txt").read_text()
    assert "lines were printed" in text
    assert not re.search(r"\w/s |━|\x1b|\r", text)
