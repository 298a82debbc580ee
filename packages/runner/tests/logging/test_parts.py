from __future__ import annotations

import pytest

from eng.logging import parts
from eng.logging.parts import BACKWARD, DATA, FORWARD, OTHER, SAVING, PartClock, charged


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the clock reads; the test moves it."""
    now = [100.0]
    monkeypatch.setattr(parts, "perf_counter", lambda: now[0])
    return now


def test_time_is_charged_to_the_part_that_ends(clock: list[float]) -> None:
    times = PartClock()
    clock[0] += 1
    assert times.switch(DATA) == OTHER
    clock[0] += 2
    assert times.switch(FORWARD) == DATA
    clock[0] += 4
    assert times.switch(BACKWARD) == FORWARD
    assert (times.seconds[OTHER], times.seconds[DATA], times.seconds[FORWARD]) == (1, 2, 4)
    assert times.total == 7


def fail_after(seconds: float, times: PartClock, clock: list[float]) -> None:
    with charged(times, SAVING):
        clock[0] += seconds
        raise OSError("disk")


def test_a_block_interrupts_a_part_also_where_it_fails(clock: list[float]) -> None:
    times = PartClock()
    times.switch(FORWARD)
    with pytest.raises(OSError, match="disk"):
        fail_after(3, times, clock)
    clock[0] += 2
    times.switch(OTHER)
    assert (times.seconds[SAVING], times.seconds[FORWARD]) == (3, 2)


def test_the_table_has_a_line_for_each_part_that_took_time(clock: list[float]) -> None:
    times = PartClock()
    times.switch(DATA)
    clock[0] += 1
    times.switch(FORWARD)
    clock[0] += 3
    times.switch(OTHER)
    lines = times.table().splitlines()
    assert [line.split() for line in lines[1:]] == [["data", "1.00", "s", "25.0%"], ["forward", "3.00", "s", "75.0%"]]


def test_without_a_clock_a_block_runs_as_it_is() -> None:
    steps = []
    with charged(None, SAVING):
        steps.append("inside")
    assert steps == ["inside"]
