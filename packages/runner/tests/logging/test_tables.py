from __future__ import annotations

import pytest

from eng.logging.tables import table_lines

ROWS = [
    ("section", "key", "runs/first", "runs/second"),
    ("config", "optim_wrapper.optimizer.lr", "0.1", "0.01"),
    ("metrics", "accuracy", "a/accuracy: 0.425, a/loss: 1.046, b/accuracy: 0.425, b/loss: 1.046", ""),
]


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_table_that_is_too_wide_becomes_a_block_for_each_row(columns) -> None:
    lines = table_lines(ROWS, columns, num_keys=2)
    assert max(map(len, lines)) <= columns
    assert lines[:3] == ["config  optim_wrapper.optimizer.lr", "  runs/first   0.1", "  runs/second  0.01"]
    assert lines[3] == "metrics  accuracy"
    assert " ".join(" ".join(lines[4:]).split()) == f"runs/first {ROWS[2][2]}"  # no line for the empty cell


def test_a_table_that_fits_or_goes_to_a_file_has_a_line_for_each_row() -> None:
    wide = table_lines(ROWS, 140)
    assert len(wide) == 3
    assert wide == table_lines(ROWS)  # standard output of a test is no terminal
    assert wide[1].split() == list(ROWS[1])


def test_long_words_stay_whole_and_control_characters_are_spelled_out() -> None:
    path = "/a/very/long/path/" * 5
    assert table_lines([("file", "size"), (path, "3 MB")], 40)[0] == path
    assert table_lines([("a\x1b[31m\n", 1)], 80, has_header=False) == ["a\\x1b[31m\\n  1"]
    assert table_lines([]) == []
    assert table_lines([("weight", "(3, 4, 5, 6, 7)")], 12, has_header=False) == ["weight", "  (3, 4, 5,", "  6, 7)"]
