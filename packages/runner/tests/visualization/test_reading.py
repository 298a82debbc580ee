from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lines_parts import DAMAGED
from visualization_parts import GOOD, file_of

from eng.visualization.curves import LinesError, read_lines


def texts(lines) -> list[bytes]:
    return [json.dumps(line).encode() for line in lines]


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_line_is_left_out_with_one_warning(tmp_path, caplog, damage) -> None:
    good = texts(GOOD)
    path = file_of(tmp_path, *good[:10], damage, damage, *good[10:])
    assert [line.step for line in read_lines(path)] == list(range(1, 21))
    assert caplog.text.count("2 lines are damaged and left out, the first is line 11") == 1


def test_a_file_of_damage_alone_is_an_error(tmp_path) -> None:
    with pytest.raises(LinesError, match=r"scalars\.json:1: expected a JSON object on each line"):
        read_lines(file_of(tmp_path, *DAMAGED.values()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=60)), max_size=5))
def test_nothing_between_the_lines_makes_reading_fail(tmp_path, junk) -> None:
    lines = texts(GOOD)
    for position, data in junk:
        lines.insert(position, data)
    steps = [line.step for line in read_lines(file_of(tmp_path, *lines)) if "loss" in line.values]
    assert steps == list(range(1, 21))
