"""JSON lines of scalars: damaged ones, and many of them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from lines_parts import DAMAGED
from visualization_parts import GOOD, file_of

from eng.visualization.curves import cut, load_curves, read_lines, survives


def texts(lines) -> list[bytes]:
    return [json.dumps(line).encode() for line in lines]


def test_lines_are_those_of_the_moment_when_they_were_opened(tmp_path) -> None:
    path = file_of(tmp_path, *texts(GOOD))
    lines = read_lines(path, survives(5, -1))
    with path.open("ab") as file:
        file.write(texts([{"loss": 9.0, "step": 99}])[0] + b"\n")
    path.rename(tmp_path / "old.json")
    file_of(tmp_path, b"{}")
    assert [line.step for line in lines] == [line.step for line in lines] == [1, 2, 3, 4, 5]
    assert len(lines) == 5


@pytest.mark.parametrize(("iteration", "validated", "over"), [(10, -1, True), (10, 10, False), (7, 5, True)])
def test_a_filter_keeps_what_a_cut_keeps(tmp_path, iteration, validated, over) -> None:
    validations = [{"acc": 1.0, "step": step, "axis": "epoch", "iteration": step, "mode": "val"} for step in (5, 10)]
    path = file_of(tmp_path, *texts(GOOD[:5] + validations[:1] + GOOD[5:10] + validations[1:] + GOOD[10:]))
    expected = cut(list(read_lines(path)), iteration, validated, epoch_is_over=over)
    assert list(read_lines(path, survives(iteration, validated, epoch_is_over=over))) == expected


def test_a_file_that_goes_back_counts_its_later_lines(tmp_path) -> None:
    again = [{**line, "loss": 0.0} for line in GOOD[7:12]]
    path = file_of(tmp_path, *texts(GOOD + again))
    lines = list(read_lines(path))
    assert [line.step for line in lines] == list(range(1, 13))
    assert [line.values["loss"] for line in lines[7:]] == [0.0] * 5


def test_curves_of_a_damaged_file_are_shown(tmp_path, caplog) -> None:
    folder = tmp_path / "20260101_000000" / "vis_data"
    folder.mkdir(parents=True)
    file_of(folder, *texts(GOOD), *DAMAGED.values())
    assert load_curves(tmp_path).points[("loss", "iter")][0] == list(range(1, 21))
    assert "lines are damaged" in caplog.text


MEASURE = """
import resource, sys
from eng.visualization.curves import read_lines, survives
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
lines = read_lines(sys.argv[1], survives(10**9, -1))
count = sum(1 for _ in lines)
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the resource module is Unix's")
def test_many_lines_take_little_memory(tmp_path) -> None:
    path = tmp_path / "scalars.json"
    with path.open("wb") as file:
        for first in range(0, 100_000, 1000):
            file.write(b"".join(b'{"loss": 0.5, "step": %d, "axis": "iter", "iteration": %d, "mode": "train"}\n' % (i, i)
                                for i in range(first, first + 1000)))  # fmt: skip
    command = [sys.executable, "-c", MEASURE, str(path)]
    count, grown_mib = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.split()
    assert int(count) == 100_000
    assert float(grown_mib) < 20  # as objects they would take about 120
